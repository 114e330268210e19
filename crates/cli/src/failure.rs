//! How a failure is told: code, message, cause, hint.

use std::process::ExitCode;

use crate::output;

/// The command line or the configuration is wrong: nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Usage {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
}

/// A [`Usage`] error.
pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Usage { message: message.into(), hint: hint.into() }.into()
}

/// Prints an error; returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let described = describe(error);
    let code = described.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    output::message(format!("error{code}: {error:#}"));
    if !described.hint.is_empty() {
        output::message(format!("hint: {}", described.hint));
    }
    if let Some(code) = described.code {
        output::message(format!("more: docs/errors/{code}.md"));
    }
    ExitCode::from(described.exit)
}

struct Described {
    code: Option<&'static str>,
    hint: String,
    exit: u8,
}

/// Finds the error in the chain that has a code or a hint.
fn describe(error: &anyhow::Error) -> Described {
    for cause in error.chain() {
        if let Some(usage) = cause.downcast_ref::<Usage>() {
            return Described { code: None, hint: usage.hint.clone(), exit: 2 };
        }
        if let Some(error) = cause.downcast_ref::<settle_config::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 2 };
        }
        if let Some(error) = cause.downcast_ref::<settle_ingest::Error>() {
            return Described { code: None, hint: error.hint(), exit: 2 };
        }
        if let Some(error) = cause.downcast_ref::<settle_runtime::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_log::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_log::CommitError>() {
            return Described { code: Some(error.code()), hint: error.reason().hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_store::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
    }
    Described { code: None, hint: String::new(), exit: 1 }
}
