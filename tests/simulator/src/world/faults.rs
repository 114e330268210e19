//! What goes wrong, and how.

use settle_log::simulated::NetworkFault;

use super::World;
use crate::plan::{FaultKind, PlannedFault, Point};
use crate::process::{Ambush, Blow, Status};

const HOUR_MICROS: i64 = 3_600_000_000;

impl World {
    /// A fault of the plan is due.
    pub(super) fn strike(&self, fault: PlannedFault) {
        let detail = fault.detail;
        let between = |first: u64, last: u64| first + detail % (last - first + 1);
        match fault.kind {
            FaultKind::Network(kind) => {
                if kind == NetworkFault::OffsetsLate {
                    self.lock().checker.allows_old_positions = true;
                }
                self.cluster.arm(kind, None);
            }
            FaultKind::Crash(point) => self.ambush(fault.process, point, Blow::Crash { loses_disk: false }),
            FaultKind::LostDisk(point) => self.ambush(fault.process, point, Blow::Crash { loses_disk: true }),
            FaultKind::Stall(point) => self.stall(fault.process, point, between(100, 4_000), false),
            FaultKind::Zombie(point) => self.stall(fault.process, point, between(6_500, 9_500), false),
            FaultKind::LongZombie(point) => self.stall(fault.process, point, between(13_000, 20_000), false),
            FaultKind::ReplacedZombie(point) => {
                self.stall(fault.process, point, between(1_000, 9_000), true);
            }
            FaultKind::BackgroundFlush => self.lock().flushes_armed += 1,
            FaultKind::ClocksForward => {
                let hours = i64::try_from(between(1, 60)).unwrap_or(1);
                self.clock.leap(hours * HOUR_MICROS);
                self.count(fault.kind);
            }
            FaultKind::ClockWrong => {
                let hours = i64::try_from(between(0, 40)).unwrap_or(0) - 20;
                let handle = self.running(fault.process);
                let set = handle.and_then(|handle| {
                    self.with(handle, |incarnation| incarnation.clock.set_error(hours * HOUR_MICROS))
                });
                if set.is_some() {
                    self.count(fault.kind);
                }
            }
            FaultKind::Roll => {
                let now_ms = self.now_ms();
                let mut state = self.lock();
                let step_ms = between(500, 4_000);
                let ordinals = (0..).zip(0..self.plan.processes);
                state.rolls = ordinals.map(|(place, ordinal)| (now_ms + place * step_ms, ordinal)).collect();
                drop(state);
                self.count(fault.kind);
            }
        }
    }

    fn count(&self, kind: FaultKind) {
        self.count_named(&kind.name());
    }

    pub(super) fn count_named(&self, name: &str) {
        *self.lock().fired.entry(name.to_owned()).or_default() += 1;
    }

    /// The start of a process that runs and was not replaced.
    fn running(&self, ordinal: u32) -> Option<u64> {
        let state = self.lock();
        let found = state.incarnations.iter().rev().find(|incarnation| incarnation.ordinal == ordinal)?;
        (found.status == Status::Running).then_some(found.handle)
    }

    pub(crate) fn ambush(&self, ordinal: u32, point: Point, blow: Blow) {
        if let Some(handle) = self.running(ordinal) {
            self.with(handle, |incarnation| incarnation.ambushes.push(Ambush { point, blow }));
        }
    }

    fn stall(&self, ordinal: u32, point: Point, for_ms: u64, is_replaced: bool) {
        self.ambush(ordinal, point, Blow::Stall { for_ms, is_replaced });
    }

    /// A process is where something waits for it. It is in a call.
    pub(super) fn hit(&self, handle: u64, blow: Blow) {
        tracing::debug!(now_ms = self.now_ms(), handle, ?blow, "a blow");
        match blow {
            Blow::Crash { loses_disk } => {
                self.count_named(if loses_disk { "LostDisk" } else { "Crash" });
                self.kill(handle, loses_disk);
            }
            Blow::Stall { for_ms, is_replaced } => {
                let is_free = self.with(handle, |incarnation| incarnation.status == Status::Running);
                if is_free != Some(true) {
                    return;
                }
                self.count_named(match for_ms {
                    _ if is_replaced => "ReplacedZombie",
                    0..=4_000 => "Stall",
                    4_001..=9_500 => "Zombie",
                    _ => "LongZombie",
                });
                let until_ms = self.now_ms() + for_ms;
                let status = Status::Suspended { until_ms, is_in_call: true };
                // One that was replaced before has its heir already.
                let was_replaced = self.with(handle, |incarnation| incarnation.is_replaced) == Some(true);
                let is_replaced = is_replaced && !was_replaced;
                let ordinal = self.with(handle, |incarnation| {
                    incarnation.status = status;
                    incarnation.is_replaced |= is_replaced;
                    incarnation.ordinal
                });
                self.cluster.suspend(handle);
                if let (true, Some(ordinal)) = (is_replaced, ordinal) {
                    self.start(ordinal, Some(format!("process-{ordinal}-after-{handle}")));
                }
                let remaining_ms = until_ms.saturating_sub(self.now_ms());
                self.let_others(remaining_ms);
                if self.with(handle, |incarnation| incarnation.status) == Some(status) {
                    self.wake(handle);
                }
            }
        }
    }

    /// A process that stood still goes on.
    pub(super) fn wake(&self, handle: u64) {
        self.cluster.resume(handle);
        self.with(handle, |incarnation| incarnation.status = Status::Running);
    }
}
