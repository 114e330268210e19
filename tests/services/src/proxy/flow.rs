//! How fast bytes pass, whether they pass at all, and the end of the proxy. Knows no protocol.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Parts of a second in which a throttled connection sends.
const SLICES_PER_SECOND: u32 = 50;

/// The value behind a lock. A thread that panicked left nothing half done: every change is one assignment.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    is_frozen: bool,
    bytes_per_second: Option<u32>,
}

/// What every write of a proxy passes through.
#[derive(Default)]
pub(super) struct Flow {
    state: Mutex<State>,
    changed: Condvar,
}

impl Flow {
    pub(super) fn stop(&self) {
        self.change(|state| state.is_stopped = true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        locked(&self.state).is_stopped
    }

    pub(super) fn freeze(&self, is_frozen: bool) {
        self.change(|state| state.is_frozen = is_frozen);
    }

    pub(super) fn throttle(&self, bytes_per_second: Option<u32>) {
        self.change(|state| state.bytes_per_second = bytes_per_second);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut locked(&self.state));
        self.changed.notify_all();
    }

    /// Sleeps, but not beyond the end of the proxy.
    pub(super) fn sleep(&self, duration: Duration) {
        let state = locked(&self.state);
        let _ = self.changed.wait_timeout_while(state, duration, |state| !state.is_stopped);
    }

    /// Waits while the proxy is frozen; then says how fast bytes may pass. After its end nothing passes.
    fn pass(&self) -> io::Result<Option<u32>> {
        let state = locked(&self.state);
        let is_held = |state: &mut State| state.is_frozen && !state.is_stopped;
        let state = self.changed.wait_while(state, is_held).unwrap_or_else(PoisonError::into_inner);
        if state.is_stopped {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the proxy has stopped"));
        }
        Ok(state.bytes_per_second)
    }

    /// Writes all bytes, at the pace of the moment.
    pub(super) fn write(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(bytes_per_second) = self.pass()? else { return stream.write_all(rest) };
            let slice_bytes = usize::try_from(bytes_per_second / SLICES_PER_SECOND).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(slice_bytes.clamp(1, rest.len()));
            stream.write_all(now)?;
            rest = later;
            // At a pace below one byte a slice, a byte waits for as long as the pace asks for.
            self.sleep(Duration::from_secs(1) / bytes_per_second.clamp(1, SLICES_PER_SECOND));
        }
        Ok(())
    }
}
