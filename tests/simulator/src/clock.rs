//! Virtual time: what measures, and the wall clock of each process, which runs faster by far, so that a run of a minute
//! sees days end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use settle_runtime::clock::{WallClock, monotonic_now};
use settle_types::Timestamp;

/// Monday, 2026-03-02, in microseconds.
const START_MICROS: i64 = 1_772_409_600_000_000;
/// Wall-clock microseconds of a virtual millisecond: a virtual second is an hour.
const MICROS_PER_MS: i64 = 3_600_000;

/// The right wall clock at a virtual time, but for leaps of all clocks.
pub fn wall_micros(at_ms: u64) -> i64 {
    START_MICROS + i64::try_from(at_ms).unwrap_or(0) * MICROS_PER_MS
}

/// The time that all processes share.
#[derive(Debug)]
pub struct WorldClock {
    /// A moment of the machine, from which virtual time is counted: differences alone are looked at.
    origin: Instant,
    now_ms: AtomicU64,
    /// How far all clocks leaped ahead.
    leap_micros: AtomicI64,
    /// Virtual time at which the wall clocks stand still; `u64::MAX`: they go.
    frozen_at_ms: AtomicU64,
    highest_micros: AtomicI64,
}

impl WorldClock {
    /// Time 0.
    pub fn new() -> Self {
        Self {
            origin: monotonic_now(),
            now_ms: AtomicU64::new(0),
            leap_micros: AtomicI64::new(0),
            frozen_at_ms: AtomicU64::new(u64::MAX),
            highest_micros: AtomicI64::new(0),
        }
    }

    /// It is now so late.
    pub fn set(&self, now_ms: u64) {
        self.now_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// All wall clocks leap.
    pub fn leap(&self, micros: i64) {
        self.leap_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The wall clocks stand still from now on.
    pub fn freeze(&self) {
        self.frozen_at_ms.store(self.now_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What a right clock says.
    pub fn wall_micros(&self) -> i64 {
        let now_ms = self.now_ms.load(Ordering::Relaxed).min(self.frozen_at_ms.load(Ordering::Relaxed));
        wall_micros(now_ms) + self.leap_micros.load(Ordering::Relaxed)
    }

    /// The latest time that any process was told.
    pub fn highest_micros(&self) -> i64 {
        self.highest_micros.load(Ordering::Relaxed)
    }
}

impl Default for WorldClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The clock of one process.
#[derive(Debug)]
pub struct ProcessClock {
    world: Arc<WorldClock>,
    error_micros: AtomicI64,
}

impl ProcessClock {
    /// A right clock.
    pub fn new(world: Arc<WorldClock>) -> Self {
        Self { world, error_micros: AtomicI64::new(0) }
    }

    /// From here on it is wrong by so much.
    pub fn set_error(&self, micros: i64) {
        self.error_micros.store(micros, Ordering::Relaxed);
    }
}

impl WallClock for ProcessClock {
    fn now(&self) -> Timestamp {
        let micros = self.world.wall_micros() + self.error_micros.load(Ordering::Relaxed);
        self.world.highest_micros.fetch_max(micros, Ordering::Relaxed);
        Timestamp::from_micros(micros)
    }

    fn monotonic(&self) -> Instant {
        self.world.origin + Duration::from_millis(self.world.now_ms.load(Ordering::Relaxed))
    }
}
