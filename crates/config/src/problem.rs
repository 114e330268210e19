//! What can be wrong with a configuration, in the words of the person who has to correct it.
//!
//! Owns the codes STL-0401 to STL-0499:
//!
//! | code | meaning |
//! |---|---|
//! | STL-0401 | the configuration file cannot be read |
//! | STL-0402 | the file is not TOML |
//! | STL-0403 | a key is not known |
//! | STL-0404 | a value is of the wrong type, or out of its range |
//! | STL-0405 | a required key is missing |
//! | STL-0406 | values that are fine one by one make no sense together |
//! | STL-0407 | a warning: allowed, and most likely not what was meant |
//! | STL-0408 | an environment variable or a flag names no place in the configuration |

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stable codes: the module's documentation says what they mean.
#[allow(missing_docs)]
pub mod code {
    pub const FILE_UNREADABLE: &str = "STL-0401";
    pub const SYNTAX: &str = "STL-0402";
    pub const UNKNOWN_KEY: &str = "STL-0403";
    pub const WRONG_VALUE: &str = "STL-0404";
    pub const MISSING_KEY: &str = "STL-0405";
    pub const CONTRADICTION: &str = "STL-0406";
    pub const WARNING: &str = "STL-0407";
    pub const MISPLACED: &str = "STL-0408";
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File {
        /// The file, as it was given.
        path: Arc<Path>,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name, as it was written.
        variable: Arc<str>,
    },
    /// A flag of the command line.
    Flag {
        /// The dotted key that it sets.
        key: Arc<str>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(formatter, "environment variable {variable}"),
            Self::Flag { key } => write!(formatter, "flag {key}"),
        }
    }
}

/// Whether a problem stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// Allowed, and most likely not what was meant.
    Warning,
}

/// One thing that is wrong. Never holds a value of a list, which may be an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stands in the way.
    pub severity: Severity,
    /// Stable code, see [`code`].
    pub code: &'static str,
    /// The full dotted key, `risk.rules[0].limits_minor`; empty if it is about a whole file or variable.
    pub path: String,
    /// Where the value was set; `None` for a default, or if the configuration was not loaded.
    pub origin: Option<Origin>,
    /// What was found, and what was expected.
    pub message: String,
    /// What to do, if the message does not say it.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn error(code: &'static str, path: impl fmt::Display, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_string(), message.into());
        Self { severity: Severity::Error, code, path, origin: None, message, hint: None }
    }

    pub(crate) fn warning(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code::WARNING, path, message) }
    }

    /// True if nothing may start with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn at(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            formatter.write_str("warning: ")?;
        }
        if let Some(origin) = &self.origin {
            write!(formatter, "{origin}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: the configuration file cannot be read: {source}", path.display())]
    Unreadable {
        /// The file, as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Everything that is wrong, a line each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl Error {
    /// Stable code; of several problems, that of the first.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => code::FILE_UNREADABLE,
            Self::Invalid(problems) => problems.first().map_or(code::WRONG_VALUE, |problem| problem.code),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "give the path of a readable TOML file with --config",
            Self::Invalid(_) => {
                "correct each line, then try `settle config check`; `settle config reference` lists every key"
            }
        }
    }

    /// The problems; none for an unreadable file.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid(problems) => problems,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let mut text = format!("the configuration has {} errors", problems.len());
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}
