//! What can go wrong with a service, in the words of the person whose test did not start.
//!
//! Every message says which service, what was expected of it, and what its log said last. There are no codes:
//! these errors end a test, they never reach an operator.

use std::io;
use std::time::Duration;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the test services.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was tried, as a verb and its object: "create /tmp/x".
        doing: String,
        /// The operating system's words.
        source: io::Error,
    },
    /// A script that installs what the tests need failed: something is missing, or could not be fetched.
    #[error("what the test needs is not installed; scripts/{script} says:\n{output}")]
    Install {
        /// Which one.
        script: &'static str,
        /// What the script wrote.
        output: String,
    },
    /// A service ended by itself.
    #[error("{service} ended by itself ({status}); its log ends with:\n{log}")]
    Ended {
        /// Which service.
        service: String,
        /// Exit code or signal.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// A wait came to its bound.
    #[error("{service} did not {what} within {patience:?}; last seen: {last}; its log ends with:\n{log}")]
    TimedOut {
        /// Which service.
        service: String,
        /// What was waited for, as a verb: "answer".
        what: String,
        /// How long.
        patience: Duration,
        /// The last answer or error.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// Something was asked of a service that does not run.
    #[error("{service} does not run")]
    NotRunning {
        /// Which service.
        service: String,
    },
    /// A command-line tool ended with an error.
    #[error("{tool} ended with {status}\nstdout: {stdout}\nstderr: {stderr}")]
    Tool {
        /// Which tool.
        tool: String,
        /// Exit code or signal.
        status: String,
        /// What it wrote to standard output.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// Kafka refused an administrative request.
    #[error("Kafka refused to {doing}: {detail}")]
    Kafka {
        /// What was asked, as a verb and its object: "create the topic a".
        doing: String,
        /// Kafka's words.
        detail: String,
    },
    /// Options that cannot work.
    #[error("these options cannot work: {detail}")]
    Options {
        /// What is wrong, and what is expected.
        detail: String,
    },
    /// A certificate or key could not be made.
    #[error("could not make {what}: {detail}")]
    Certificate {
        /// Which certificate.
        what: String,
        /// The library's words.
        detail: String,
    },
    /// A test wants to break a broker of a cluster that belongs to somebody else.
    #[error(
        "this test stops and starts brokers, and SETTLE_TEST_KAFKA names the cluster {bootstrap}, which is not \
         the test's to break: unset SETTLE_TEST_KAFKA"
    )]
    NotOurs {
        /// The cluster.
        bootstrap: String,
    },
}

impl Error {
    /// For `map_err` after a call to the operating system; `doing` is a verb and its object.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
