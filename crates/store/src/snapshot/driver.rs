//! Asynchronous requests for plain threads.
//!
//! One thread drives the connections; whoever makes a request waits for it on his own thread. So everything
//! around the requests is plain blocking code, and hashing and writing files is done where the caller is.

use std::future::Future;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use crate::error::Error;

pub(super) struct Driver {
    handle: Handle,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start() -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::InvalidOptions {
            what: format!("no thread for snapshots: {error}"),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let drive = move || {
            // An error is the end that was asked for: nothing is ever sent.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let thread = Builder::new().name("snapshots".to_owned()).spawn(drive).map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for the end of a request. Panics on a thread that runs asynchronous tasks.
    pub(super) fn wait<F: Future>(&self, request: F) -> F::Output {
        self.handle.block_on(request)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to report; a panic of its tasks was reported to whoever waited for them.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn several_threads_wait_at_once() {
        let driver = Driver::start().expect("a thread starts");
        let (sender, receiver) = oneshot::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| driver.wait(receiver));
            driver.wait(async { tokio::time::sleep(Duration::from_millis(1)).await });
            sender.send(7).expect("the receiver waits");
            assert_eq!(waiting.join().expect("the thread ends"), Ok(7));
        });
    }
}
