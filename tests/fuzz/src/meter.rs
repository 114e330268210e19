//! How much memory a piece of work holds at most.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread holds. One that frees what another has allocated goes below zero.
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The allocator of the system, with a count for each thread. A test program that measures declares
///
/// ```
/// #[global_allocator]
/// static METER: settle_fuzz::Meter = settle_fuzz::Meter;
/// ```
#[derive(Debug)]
pub struct Meter;

impl Meter {
    /// Does the work on this thread; returns what it returns, and the most bytes that the thread held beyond those before.
    ///
    /// # Panics
    /// If the program's allocator is another one: the count would be 0 for everything.
    pub fn peak<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let before = HELD.get();
        PEAK.set(before);
        // At least this is allocated.
        drop(std::hint::black_box(Box::new(0u8)));
        assert!(PEAK.get() > before, "the program declares no #[global_allocator] that counts");
        let result = work();
        let peak = PEAK.get() - before;
        (result, usize::try_from(peak).unwrap_or(0))
    }
}

fn count(bytes: usize, is_allocated: bool) {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    // A thread that ends has no count any more, and nobody asks for it.
    let _ = HELD.try_with(|held| {
        let now = held.get().saturating_add(if is_allocated { bytes } else { -bytes });
        held.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), true);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), false);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), true);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, true);
        count(layout.size(), false);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static METER: Meter = Meter;

    #[test]
    fn the_peak_is_what_was_held_at_once() {
        let one_after_the_other = || {
            for _ in 0..100 {
                drop(std::hint::black_box(vec![1u8; 10_000]));
            }
        };
        let ((), peak) = METER.peak(one_after_the_other);
        assert!((10_000..20_000).contains(&peak), "{peak}");
        let (kept, peak) = METER.peak(|| (0..100).map(|_| vec![1u8; 10_000]).collect::<Vec<_>>());
        assert!((1_000_000..1_100_000).contains(&peak), "{peak} for {}", kept.len());
    }
}
