//! The HTTP server for operators: probes and metrics.
//!
//! Owns the thread and the address. It reads what the workers wrote about themselves and never calls into them,
//! so that it answers also when a worker is stuck. Must not change anything: every endpoint is a GET.

mod connection;
mod endpoints;
mod exposition;
#[cfg(test)]
mod tests;

use std::future::IntoFuture as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use endpoints::Endpoints;
pub(crate) use exposition::Exposition;

use connection::{BoundedListener, Limits};

/// How long requests at work may take to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How often measurements of histograms are put into their buckets: they wait in memory until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the server does not run.
///
/// | code | meaning |
/// |---|---|
/// | STL-0601 | the address cannot be listened on |
/// | STL-0602 | the server cannot be started |
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address} for HTTP: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread or no event queue, or metrics are installed twice.
    #[error("the HTTP server cannot be started: {source}")]
    Start {
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The code under which docs/errors/ explains it.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "STL-0601",
            Self::Start { .. } => "STL-0602",
        }
    }

    /// What to do.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Listen { .. } => {
                "Is another process of Settle running here? Choose another port in `http.listen`; port 0 takes any that is free."
            }
            Self::Start { .. } => "Look at the limits of the process: threads, open files.",
        }
    }
}

/// The running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    #[cfg(test)]
    address: SocketAddr,
    /// Its other end is watched by the server: closing it stops the server, whatever happened here.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on an address and serves the endpoints from a thread of its own.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken; [`Error::Start`] when the system gives no thread.
    pub(crate) fn start(listen: SocketAddr, endpoints: Endpoints) -> Result<Self, Error> {
        Self::start_with(listen, endpoints, Limits::default())
    }

    fn start_with(listen: SocketAddr, endpoints: Endpoints, limits: Limits) -> Result<Self, Error> {
        let refused = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let not_started = |source| Error::Start { source };
        let (stop, stopped) = UnixStream::pair().map_err(not_started)?;
        stopped.set_nonblocking(true).map_err(not_started)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(not_started)?;
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                let outcome = runtime.block_on(serve(listener, endpoints, limits, stopped));
                if let Err(error) = outcome {
                    tracing::error!(%error, "the HTTP server ended: probes and metrics are gone");
                }
                // What is still at work after the limit is not waited for.
                runtime.shutdown_background();
            })
            .map_err(not_started)?;
        tracing::info!(%address, "HTTP: /livez /readyz /metrics");
        Ok(Self {
            #[cfg(test)]
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens: the port that was taken, when any free one was asked for.
    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it was told where it happened.
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: TcpListener,
    endpoints: Endpoints,
    limits: Limits,
    stopped: UnixStream,
) -> io::Result<()> {
    let listener = BoundedListener::new(tokio::net::TcpListener::from_std(listener)?, limits);
    let stopped_for_limit = tokio::net::UnixStream::from_std(stopped.try_clone()?)?;
    let stopped = tokio::net::UnixStream::from_std(stopped)?;
    let exposition = endpoints.exposition.clone();
    let server = axum::serve(listener, endpoints::router(endpoints)).with_graceful_shutdown(async move {
        // Readable, with nothing to read: the other end is closed. An error ends the server, too.
        let _ = stopped.readable().await;
    });
    let stop_limit = async move {
        let _ = stopped_for_limit.readable().await;
        tokio::time::sleep(STOP_LIMIT).await;
    };
    let upkeep = async move {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            exposition.upkeep();
        }
    };
    tokio::select! {
        outcome = server.into_future() => outcome,
        () = stop_limit => Ok(()),
        () = upkeep => Ok(()),
    }
}
