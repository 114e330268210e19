//! Signals. SIGINT and SIGTERM: the run ends in good order; a second one ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output;

/// Lets a file-size limit (`ulimit -f`) come back from a write as an error, like a full disk: by default the
/// signal that announces it ends the process.
pub(crate) fn report_file_size_limit() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _in_runtime = runtime.enter();
    // The handler stays for the life of the process, whoever listens.
    let _listener = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ))?;
    Ok(())
}

/// Number of the signal on Linux; macOS has the same.
const SIGXFSZ: i32 = 25;

/// Sets `stop` at the first signal.
pub(crate) fn stop_on_signal(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            next_signal().await;
            output::message(
                "stopping: finishing what is at work, committing and flushing (again to stop at once)",
            );
            stop.store(true, Ordering::Relaxed);
            next_signal().await;
            std::process::exit(130);
        });
    })?;
    Ok(())
}

async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
