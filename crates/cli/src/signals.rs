//! Signals. SIGINT and SIGTERM: the run ends in good order; a second one ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output;

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
