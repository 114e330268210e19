//! What can go wrong with a store, in the words of the person who has to act on it.
//!
//! Owns the codes STL-0201 to STL-0299 and the reading of RocksDB's messages. Every error says what happened
//! and where; [`Error::hint`] says what to do next; [`Error::code`] names its page.
//!
//! | code | variant | meaning |
//! |---|---|---|
//! | STL-0201 | [`Error::Locked`] | another process (or another handle) holds the directory |
//! | STL-0202 | [`Error::Corrupt`] | stored bytes do not verify or do not decode |
//! | STL-0203 | [`Error::DiskFull`] | no space, quota or file-size limit left |
//! | STL-0204 | [`Error::ReadOnly`] | the store cannot be written here |
//! | STL-0205 | [`Error::Io`] | any other failure of a file operation |
//! | STL-0206 | [`Error::VersionMismatch`] | another fold, row or progress version wrote it |
//! | STL-0207 | [`Error::WrongIdentity`] | it belongs to another stage or partition |
//! | STL-0208 | [`Error::Failed`] | an earlier write failed; reopen and replay |
//! | STL-0209 | [`Error::Unexpected`] | RocksDB refused a call: a defect of the program |
//! | STL-0210 | [`Error::InvalidOptions`] | a budget or count that cannot work |
//! | STL-0211 | [`Error::InvalidSnapshotLocation`] | the location of the snapshots cannot be used |
//! | STL-0212 | [`Error::SnapshotStoreNotBuilt`] | this program was built without that object store |
//! | STL-0213 | [`Error::SnapshotAccessDenied`] | the object store refuses the credentials or the rights |
//! | STL-0214 | [`Error::SnapshotStoreFailed`] | a request to the object store failed |
//! | STL-0215 | [`Error::SnapshotDamaged`] | an object of a snapshot is missing or not what it should be |
//! | STL-0216 | [`Error::SnapshotFormat`] | a snapshot was written in another format |
//! | STL-0217 | [`Error::SnapshotOfAnother`] | a snapshot belongs to another application |
//! | STL-0218 | [`Error::DirectoryNotEmpty`] | a snapshot is put into a new directory only |
//! | STL-0219 | [`Error::SnapshotTooSlow`] | an upload took too long |

use std::io;
use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;
use settle_engine::state_value;

/// An error of a store. The module's documentation lists the codes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is in use.
    #[error("the store at {} is in use by another process or worker: {detail}", directory.display())]
    Locked {
        /// The store's directory.
        directory: PathBuf,
        /// RocksDB's words.
        detail: String,
    },
    /// Stored bytes do not verify or do not decode.
    #[error("the store at {} is damaged: {detail}", directory.display())]
    Corrupt {
        /// The store's directory.
        directory: PathBuf,
        /// What was found.
        detail: String,
    },
    /// No space, quota or file-size limit left.
    #[error("no space left for the store at {}: {detail}", directory.display())]
    DiskFull {
        /// The store's directory.
        directory: PathBuf,
        /// The operating system's words.
        detail: String,
    },
    /// The store cannot be written here.
    #[error("the store at {} cannot be written: {detail}", directory.display())]
    ReadOnly {
        /// The store's directory.
        directory: PathBuf,
        /// The operating system's words.
        detail: String,
    },
    /// Any other failure of a file operation.
    #[error("could not {operation} the store at {}: {detail}", directory.display())]
    Io {
        /// What was tried, as a verb: "open".
        operation: &'static str,
        /// The store's directory.
        directory: PathBuf,
        /// The operating system's words.
        detail: String,
    },
    /// Another fold, row or progress version wrote the store.
    #[error(
        "the store at {} was written with {what} {found}; this program uses {expected}",
        directory.display()
    )]
    VersionMismatch {
        /// The store's directory.
        directory: PathBuf,
        /// Which version: "fold version".
        what: &'static str,
        /// Version found.
        found: i64,
        /// Version that this program reads and writes.
        expected: i64,
    },
    /// The store belongs to another stage or partition.
    #[error(
        "the store at {} belongs to {found}, but it was opened for {expected}",
        directory.display()
    )]
    WrongIdentity {
        /// The store's directory.
        directory: PathBuf,
        /// Stage and partition found.
        found: String,
        /// Stage and partition asked for.
        expected: String,
    },
    /// An earlier write failed, so a later one would leave a gap in the state.
    #[error("the store at {} takes no more writes: an earlier one failed", directory.display())]
    Failed {
        /// The store's directory.
        directory: PathBuf,
    },
    /// RocksDB refused a call.
    #[error("RocksDB refused to {operation} the store at {}: {detail}", directory.display())]
    Unexpected {
        /// What was tried, as a verb: "open".
        operation: &'static str,
        /// The store's directory.
        directory: PathBuf,
        /// RocksDB's words.
        detail: String,
    },
    /// A budget or count that cannot work.
    #[error("{what}")]
    InvalidOptions {
        /// What was given and what is accepted.
        what: String,
    },
    /// The location of the snapshots cannot be used.
    #[error("the location {location:?} of the snapshots cannot be used: {detail}")]
    InvalidSnapshotLocation {
        /// As the configuration has it.
        location: String,
        /// What is wrong with it.
        detail: String,
    },
    /// This program was built without the object store of the location.
    #[error(
        "this program cannot use the location {location:?}: it was built without the cargo feature `{feature}`"
    )]
    SnapshotStoreNotBuilt {
        /// As the configuration has it.
        location: String,
        /// The cargo feature to build with.
        feature: &'static str,
    },
    /// The object store refuses the credentials or the rights.
    #[error("not allowed to {operation} {object}: {detail}")]
    SnapshotAccessDenied {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// The object, with the location.
        object: String,
        /// The object store's words.
        detail: String,
    },
    /// A request to the object store failed.
    #[error("could not {operation} {object}: {detail}")]
    SnapshotStoreFailed {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// The object, with the location.
        object: String,
        /// The object store's words.
        detail: String,
    },
    /// An object of a snapshot is missing or not what it should be.
    #[error("a snapshot is damaged: {object}: {detail}")]
    SnapshotDamaged {
        /// The object, with the location.
        object: String,
        /// What was found.
        detail: String,
    },
    /// A snapshot was written in another format.
    #[error("the snapshot {object} has format {found}; this program uses {expected}")]
    SnapshotFormat {
        /// The manifest, with the location.
        object: String,
        /// Version of its format.
        found: u32,
        /// Version that this program reads and writes.
        expected: u32,
    },
    /// A snapshot belongs to another application.
    #[error("the snapshot {object} belongs to the application {found:?}, not to {expected:?}")]
    SnapshotOfAnother {
        /// The manifest, with the location.
        object: String,
        /// Application that wrote it.
        found: String,
        /// Application that this program runs as.
        expected: String,
    },
    /// A snapshot or a checkpoint is put into a new directory only.
    #[error("{} is in the way: expected no directory there, or an empty one", directory.display())]
    DirectoryNotEmpty {
        /// The directory that holds something.
        directory: PathBuf,
    },
    /// An upload took longer than a collection of garbage waits for it.
    #[error("the upload of a snapshot took longer than {limit_seconds} s")]
    SnapshotTooSlow {
        /// How long it may take, in seconds.
        limit_seconds: u64,
    },
}

impl Error {
    /// Stable code of the error's page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "STL-0201",
            Self::Corrupt { .. } => "STL-0202",
            Self::DiskFull { .. } => "STL-0203",
            Self::ReadOnly { .. } => "STL-0204",
            Self::Io { .. } => "STL-0205",
            Self::VersionMismatch { .. } => "STL-0206",
            Self::WrongIdentity { .. } => "STL-0207",
            Self::Failed { .. } => "STL-0208",
            Self::Unexpected { .. } => "STL-0209",
            Self::InvalidOptions { .. } => "STL-0210",
            Self::InvalidSnapshotLocation { .. } => "STL-0211",
            Self::SnapshotStoreNotBuilt { .. } => "STL-0212",
            Self::SnapshotAccessDenied { .. } => "STL-0213",
            Self::SnapshotStoreFailed { .. } => "STL-0214",
            Self::SnapshotDamaged { .. } => "STL-0215",
            Self::SnapshotFormat { .. } => "STL-0216",
            Self::SnapshotOfAnother { .. } => "STL-0217",
            Self::DirectoryNotEmpty { .. } => "STL-0218",
            Self::SnapshotTooSlow { .. } => "STL-0219",
        }
    }

    /// What to do next, as one sentence or two.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => {
                "One process at a time may open a store. Stop the other process (`fuser` on the file LOCK names \
                 it), or use another data directory. Do not delete the file: the lock ends with its process."
            }
            Self::Corrupt { .. } => {
                "Check the disk. The journal has everything that the store has: remove the store's directory and \
                 restart, and it is rebuilt from the journal."
            }
            Self::DiskFull { .. } => {
                "Nothing is lost: the journal has it. Free space or raise the limit, then restart."
            }
            Self::ReadOnly { .. } => "Check mount options and permissions of the directory.",
            Self::Io { .. } => "Look at the operating system's words and its log; the disk may be failing.",
            Self::VersionMismatch { .. } => {
                "The store has to be rebuilt from the journal by this version: remove its directory and restart."
            }
            Self::WrongIdentity { .. } => {
                "Check the data directory: were stores moved or renamed? Put the directory back, or use an empty one."
            }
            Self::Failed { .. } => {
                "Remove the cause that the first error names, then open the store again: the journal is replayed."
            }
            Self::Unexpected { .. } => "This is a defect of the program: please report it with the message.",
            Self::InvalidOptions { .. } => "Correct the value that the message names.",
            Self::InvalidSnapshotLocation { .. } => {
                "Give file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix."
            }
            Self::SnapshotStoreNotBuilt { .. } => {
                "Build with `--features` and the name that the message has, or use another location."
            }
            Self::SnapshotAccessDenied { .. } => {
                "Check the credentials, and that they may read, write, list and remove objects at the location."
            }
            Self::SnapshotStoreFailed { .. } => {
                "The object store's words say why. State is not in danger while the journal reaches back: the \
                 next snapshot tries again."
            }
            Self::SnapshotDamaged { .. } => {
                "An older snapshot is tried by itself. If there is none, remove the damaged one: the state is \
                 rebuilt from the journal, as far as that reaches back."
            }
            Self::SnapshotFormat { .. } => {
                "Use the version of the program that wrote it, or a later one. Older snapshots are tried by \
                 themselves."
            }
            Self::SnapshotOfAnother { .. } => "Give each application a location of its own.",
            Self::DirectoryNotEmpty { .. } => {
                "Move the directory away if its content is not needed. Nothing in it was changed."
            }
            Self::SnapshotTooSlow { .. } => {
                "The next upload goes on with what was sent. If it happens again, raise the grace period of the \
                 snapshots, of which an upload may take a quarter."
            }
        }
    }

    /// True if a store rebuilt from the journal would not have this error.
    pub fn is_cured_by_rebuild(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::VersionMismatch { .. })
    }

    /// True if an older snapshot may not have this error.
    pub fn is_cured_by_an_older_snapshot(&self) -> bool {
        matches!(self, Self::SnapshotDamaged { .. } | Self::SnapshotFormat { .. })
    }

    /// An error of RocksDB, which tells causes apart by the words of its message.
    pub(crate) fn from_rocksdb(operation: &'static str, directory: &Path, error: rocksdb::Error) -> Self {
        let kind = error.kind();
        Self::from_message(operation, directory, kind, error.into_string())
    }

    /// An error of the operating system outside RocksDB.
    pub(crate) fn from_io(operation: &'static str, directory: &Path, error: &io::Error) -> Self {
        Self::from_message(operation, directory, ErrorKind::IOError, error.to_string())
    }

    /// A row that does not decode.
    pub(crate) fn from_value(directory: &Path, error: state_value::Error) -> Self {
        let directory = directory.to_path_buf();
        match error {
            state_value::Error::Version { found } => Self::VersionMismatch {
                directory,
                what: "row format",
                found: i64::from(found),
                expected: i64::from(state_value::VALUE_VERSION),
            },
            other => Self::Corrupt { directory, detail: other.to_string() },
        }
    }

    /// The cause is looked for in the words before the kind: RocksDB wraps an operating system's error as a
    /// corruption where it reads a table, and a full disk reported as damage would cost a needless rebuild.
    fn from_message(operation: &'static str, directory: &Path, kind: ErrorKind, detail: String) -> Self {
        let directory = directory.to_path_buf();
        let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
        if says(&["No space left on device", "Disk quota exceeded", "File too large"]) {
            return Self::DiskFull { directory, detail };
        }
        if says(&["Read-only file system", "Permission denied", "Operation not permitted"]) {
            return Self::ReadOnly { directory, detail };
        }
        if says(&["lock hold by current process", "While lock file"]) {
            return Self::Locked { directory, detail };
        }
        match kind {
            ErrorKind::Corruption => Self::Corrupt { directory, detail },
            // A file that the manifest names and that is gone.
            ErrorKind::IOError if says(&["No such file or directory"]) => Self::Corrupt { directory, detail },
            ErrorKind::IOError => Self::Io { operation, directory, detail },
            _ => Self::Unexpected { operation, directory, detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn one_of_each() -> Vec<Error> {
        let directory = PathBuf::from("data/store");
        let detail = String::from("IO error");
        vec![
            Error::Locked { directory: directory.clone(), detail: detail.clone() },
            Error::Corrupt { directory: directory.clone(), detail: detail.clone() },
            Error::DiskFull { directory: directory.clone(), detail: detail.clone() },
            Error::ReadOnly { directory: directory.clone(), detail: detail.clone() },
            Error::Io { operation: "open", directory: directory.clone(), detail: detail.clone() },
            Error::VersionMismatch {
                directory: directory.clone(),
                what: "fold version",
                found: 2,
                expected: 1,
            },
            Error::WrongIdentity {
                directory: directory.clone(),
                found: "a/1".into(),
                expected: "a/2".into(),
            },
            Error::Failed { directory: directory.clone() },
            Error::Unexpected { operation: "open", directory: directory.clone(), detail: detail.clone() },
            Error::InvalidOptions { what: "a store needs at least 1 thread".into() },
            Error::InvalidSnapshotLocation { location: "ftp://a".into(), detail: detail.clone() },
            Error::SnapshotStoreNotBuilt { location: "gs://a".into(), feature: "gcs" },
            Error::SnapshotAccessDenied { operation: "read", object: "a".into(), detail: detail.clone() },
            Error::SnapshotStoreFailed { operation: "read", object: "a".into(), detail: detail.clone() },
            Error::SnapshotDamaged { object: "a".into(), detail },
            Error::SnapshotFormat { object: "a".into(), found: 2, expected: 1 },
            Error::SnapshotOfAnother { object: "a".into(), found: "b".into(), expected: "c".into() },
            Error::DirectoryNotEmpty { directory },
            Error::SnapshotTooSlow { limit_seconds: 900 },
        ]
    }

    #[test]
    fn codes_are_distinct_consecutive_and_listed_in_the_table() {
        let errors = one_of_each();
        let codes: BTreeSet<&str> = errors.iter().map(Error::code).collect();
        let expected: BTreeSet<String> = (201..201 + errors.len()).map(|n| format!("STL-{n:04}")).collect();
        assert_eq!(codes, expected.iter().map(String::as_str).collect());
        let documentation = include_str!("error.rs");
        for code in codes {
            assert!(documentation.contains(&format!("//! | {code} |")), "{code} is missing from the table");
        }
    }

    #[test]
    fn every_error_has_a_message_and_a_hint() {
        for error in one_of_each() {
            assert!(!error.to_string().is_empty());
            assert!(error.hint().ends_with('.'), "{error:?}");
        }
    }

    #[test]
    fn messages_of_rocksdb_are_mapped_to_what_an_operator_can_act_on() {
        use ErrorKind::{Corruption, IOError, InvalidArgument};
        let cases = [
            (IOError, "IO error: While lock file: s/LOCK: Resource temporarily unavailable", "STL-0201"),
            (
                IOError,
                "IO error: lock hold by current process, acquire time 1 acquiring thread 2: s/LOCK: No locks available",
                "STL-0201",
            ),
            (IOError, "IO error: While open a file for lock: s/LOCK: Read-only file system", "STL-0204"),
            (Corruption, "Corruption: block checksum mismatch: stored = 1, computed = 2", "STL-0202"),
            (IOError, "IO error: No such file or directory: While open a file: s/000009.sst", "STL-0202"),
            (IOError, "IO error: No space left on device: While appending to file: s/000009.sst", "STL-0203"),
            (Corruption, "Corruption: IO error: No space left on device: s/000009.sst", "STL-0203"),
            (IOError, "IO error: File too large: While appending to file: s/000009.sst", "STL-0203"),
            (IOError, "IO error: Disk quota exceeded: While appending to file: s/000009.sst", "STL-0203"),
            (IOError, "IO error: While mkdir if missing: s: Permission denied", "STL-0204"),
            (IOError, "IO error: Input/output error: While fsync: s/000009.sst", "STL-0205"),
            (InvalidArgument, "Invalid argument: Column families not opened: a", "STL-0209"),
        ];
        for (kind, message, code) in cases {
            let error = Error::from_message("open", Path::new("s"), kind, message.to_owned());
            assert_eq!(error.code(), code, "{message}");
        }
    }

    #[test]
    fn rows_that_do_not_decode_are_told_apart() {
        let version = state_value::Error::Version { found: 9 };
        assert_eq!(Error::from_value(Path::new("s"), version).code(), "STL-0206");
        let short = state_value::Error::TooShort { length: 1 };
        assert_eq!(Error::from_value(Path::new("s"), short).code(), "STL-0202");
    }
}
