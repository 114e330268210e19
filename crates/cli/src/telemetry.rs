//! Logs on standard error: for people, or one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts the log. `level` is a level, or a filter such as `settle_runtime=debug,info`.
pub(crate) fn start(level: &str, is_json: bool) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(is_json);
    // A second start, as in tests, keeps the first.
    let is_terminal = std::io::stderr().is_terminal();
    let _ = if is_json {
        builder.json().try_init()
    } else {
        builder.with_ansi(is_terminal).without_time().try_init()
    };
}
