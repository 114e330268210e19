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
    output::message(format!("error{code}: {}", words(error)));
    if !described.hint.is_empty() {
        output::message(format!("hint: {}", described.hint));
    }
    if let Some(code) = described.code {
        output::message(format!("more: docs/errors/{code}.md"));
    }
    ExitCode::from(described.exit)
}

/// The message and its causes; a cause that the message quotes already is not said twice.
fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
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
        if let Some(error) = cause.downcast_ref::<crate::http::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_runtime::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_reconcile::Error>()
            && error.code().is_some()
        {
            return Described { code: error.code(), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_log::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_log::CommitError>() {
            return Described { code: Some(error.code()), hint: error.reason().hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_schema::RegistryError>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
        if let Some(error) = cause.downcast_ref::<settle_store::Error>() {
            return Described { code: Some(error.code()), hint: error.hint().to_owned(), exit: 1 };
        }
    }
    Described { code: None, hint: String::new(), exit: 1 }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let source = io::Error::other("no space");
        let quoted = settle_log::Error::DiskFull { path: PathBuf::from("data"), source };
        assert_eq!(words(&quoted.into()), "no space left for data: no space");
        let in_context = anyhow::Error::from(io::Error::other("is a directory")).context("could not write x");
        assert_eq!(words(&in_context), "could not write x: is a directory");
    }
}
