//! What can go wrong with a log, in the words of the person who has to act on it.
//!
//! Owns the codes STL-0101 to STL-0199. Every error says what happened, where and what was expected;
//! [`Error::hint`] says what to do next; [`Error::code`] names its page.
//!
//! | code | variant | meaning |
//! |---|---|---|
//! | STL-0101 | [`Error::UnknownTopic`] | the log has no topic of that name |
//! | STL-0102 | [`Error::PartitionOutOfRange`] | the topic has fewer partitions |
//! | STL-0103 | [`Error::OffsetOutOfRange`] | the position is before the start or after the end |
//! | STL-0104 | [`Error::PartitionCountMismatch`] | a topic exists with another number of partitions |
//! | STL-0105 | [`Error::Locked`] | another process (or another handle) holds the directory |
//! | STL-0106 | [`Error::NotALog`] | the directory is absent or holds no log |
//! | STL-0107 | [`Error::UnsupportedFormat`] | the directory was written by another version |
//! | STL-0108 | [`Error::Corrupt`] | stored bytes do not verify |
//! | STL-0109 | [`Error::DiskFull`] | no space, quota or file-size limit left |
//! | STL-0110 | [`Error::ReadOnly`] | the log cannot be written here |
//! | STL-0111 | [`Error::Io`] | any other failure of a file operation |
//! | STL-0112 | [`Error::Poisoned`] | an earlier failure left the end of the log unknown; reopen it |
//! | STL-0113 | [`Error::ProducerFenced`] | a newer producer took over the transactional id |
//! | STL-0114 | [`Error::TransactionTooLarge`] | a transaction is above its configured limit |
//! | STL-0115 | [`Error::InvalidArgument`] | a name, count or size that no log accepts |
//! | STL-0116 | [`Error::InvalidState`] | calls in the wrong order, a defect of the caller |
//! | STL-0117 | [`Error::NotAssigned`] | the consumer does not own the partition |
//! | STL-0118 | [`Error::Unreachable`] | no broker answered in time |
//! | STL-0119 | [`Error::Authentication`] | user, password or mechanism were refused |
//! | STL-0120 | [`Error::Tls`] | the encrypted connection did not come about |
//! | STL-0121 | [`Error::NotAuthorized`] | an access right is missing |
//! | STL-0122 | [`Error::DuplicateInstance`] | another process runs under the same identity |
//! | STL-0123 | [`Error::ClientSettings`] | a setting that the Kafka client refuses |
//! | STL-0124 | [`Error::Kafka`] | any other refusal of the cluster |

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::TopicPartition;

/// Who holds a locked directory, as far as its `LOCK` file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockHolder {
    /// Process id; `None` if the holder has not written it (yet).
    pub pid: Option<u32>,
    /// File name of the holder's program; empty if unknown.
    pub program: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.program.is_empty()) {
            (Some(pid), false) => write!(formatter, "process {pid} ({})", self.program),
            (Some(pid), true) => write!(formatter, "process {pid}"),
            (None, _) => formatter.write_str("another process that left no process id"),
        }
    }
}

/// An error of a log. The module's documentation lists the codes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log has no topic of that name.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// The name asked for.
        topic: String,
    },
    /// The topic has fewer partitions.
    #[error("partition {partition} does not exist: its topic has {partitions} partitions, numbered from 0")]
    PartitionOutOfRange {
        /// The partition asked for.
        partition: TopicPartition,
        /// How many the topic has.
        partitions: u32,
    },
    /// The position is before the start or after the end of the partition.
    #[error(
        "offset {offset} of {partition} is out of range: the partition holds {start} to {end} (exclusive)"
    )]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The position asked for.
        offset: u64,
        /// First offset that can be read.
        start: u64,
        /// Offset that is written next.
        end: u64,
    },
    /// A topic exists with another number of partitions than asked for.
    #[error("topic {topic} has {existing} partitions, but {requested} are asked for")]
    PartitionCountMismatch {
        /// The topic.
        topic: String,
        /// How many it has.
        existing: u32,
        /// How many were asked for.
        requested: u32,
    },
    /// The directory is in use.
    #[error("the log at {} is in use by {holder}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        holder: LockHolder,
    },
    /// The directory is absent or holds no log.
    #[error("there is no embedded log at {}: {what}", path.display())]
    NotALog {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The directory or a frame was written in a format that this version does not read.
    #[error("{} has format version {found}; this program reads version {supported}", path.display())]
    UnsupportedFormat {
        /// The file that states the version.
        path: PathBuf,
        /// Version found.
        found: String,
        /// Version that this program reads and writes.
        supported: u16,
    },
    /// Stored bytes do not verify. Nothing was changed or dropped.
    #[error("{} is damaged at byte {position}: {what}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Position of the first byte that does not verify, or of the frame that holds it.
        position: u64,
        /// What was expected and what was found.
        what: String,
    },
    /// No space, quota or file-size limit left.
    #[error("no space left for {}: {source}", path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// The log cannot be written here.
    #[error("{} cannot be written: {source}", path.display())]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Any other failure of a file operation.
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "read".
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// An earlier failure left the end of the log unknown; it takes no commits until it is reopened.
    #[error("the log at {} takes no more transactions: {reason}", path.display())]
    Poisoned {
        /// The directory.
        path: PathBuf,
        /// The failure that made it so.
        reason: String,
    },
    /// A newer producer took over the transactional id.
    #[error("producer {transactional_id} was fenced: a newer producer uses its transactional id")]
    ProducerFenced {
        /// The id that both use.
        transactional_id: String,
    },
    /// The open transaction would exceed its limit. Abort it.
    #[error("the transaction would hold {bytes} bytes, above its limit of {limit}")]
    TransactionTooLarge {
        /// Bytes with the refused record.
        bytes: u64,
        /// The configured limit.
        limit: u64,
    },
    /// A name, count or size that no log accepts.
    #[error("{what}")]
    InvalidArgument {
        /// What was given and what is accepted.
        what: String,
    },
    /// Calls in the wrong order: a defect of the caller.
    #[error("{what}")]
    InvalidState {
        /// The call and the state that it needs.
        what: &'static str,
    },
    /// The consumer does not own the partition.
    #[error("partition {partition} is not assigned to this consumer")]
    NotAssigned {
        /// The partition.
        partition: TopicPartition,
    },
    /// No broker answered in time.
    #[error("Kafka at {brokers} did not answer (to {operation}): {what}")]
    Unreachable {
        /// Addresses that were tried.
        brokers: String,
        /// What was tried, as a verb.
        operation: &'static str,
        /// The client's words.
        what: String,
    },
    /// User, password or mechanism were refused.
    #[error("Kafka at {brokers} refused the user or password: {what}")]
    Authentication {
        /// Addresses that were tried.
        brokers: String,
        /// The client's words.
        what: String,
    },
    /// The encrypted connection did not come about.
    #[error("no encrypted connection to Kafka at {brokers}: {what}")]
    Tls {
        /// Addresses that were tried.
        brokers: String,
        /// The client's words.
        what: String,
    },
    /// An access right is missing.
    #[error("Kafka does not allow this user to {operation} ({subject}): {what}")]
    NotAuthorized {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Topic, group or transactional id.
        subject: String,
        /// The cluster's words.
        what: String,
    },
    /// Another process runs under the same identity.
    #[error("another process runs under the identity {identity}")]
    DuplicateInstance {
        /// The identity in the group.
        identity: String,
    },
    /// A setting that the Kafka client refuses.
    #[error("the Kafka client refuses its settings: {what}")]
    ClientSettings {
        /// Which, and why.
        what: String,
    },
    /// Any other refusal of the cluster.
    #[error("Kafka refused to {operation} ({subject}): {what}")]
    Kafka {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Topic, group or transactional id.
        subject: String,
        /// The cluster's words.
        what: String,
    },
}

impl Error {
    /// Stable code of the error's page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTopic { .. } => "STL-0101",
            Self::PartitionOutOfRange { .. } => "STL-0102",
            Self::OffsetOutOfRange { .. } => "STL-0103",
            Self::PartitionCountMismatch { .. } => "STL-0104",
            Self::Locked { .. } => "STL-0105",
            Self::NotALog { .. } => "STL-0106",
            Self::UnsupportedFormat { .. } => "STL-0107",
            Self::Corrupt { .. } => "STL-0108",
            Self::DiskFull { .. } => "STL-0109",
            Self::ReadOnly { .. } => "STL-0110",
            Self::Io { .. } => "STL-0111",
            Self::Poisoned { .. } => "STL-0112",
            Self::ProducerFenced { .. } => "STL-0113",
            Self::TransactionTooLarge { .. } => "STL-0114",
            Self::InvalidArgument { .. } => "STL-0115",
            Self::InvalidState { .. } => "STL-0116",
            Self::NotAssigned { .. } => "STL-0117",
            Self::Unreachable { .. } => "STL-0118",
            Self::Authentication { .. } => "STL-0119",
            Self::Tls { .. } => "STL-0120",
            Self::NotAuthorized { .. } => "STL-0121",
            Self::DuplicateInstance { .. } => "STL-0122",
            Self::ClientSettings { .. } => "STL-0123",
            Self::Kafka { .. } => "STL-0124",
        }
    }

    /// What to do next, as one sentence or two.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::UnknownTopic { .. } => {
                "Run `settle topics create`, or `settle topics list` to find the right name."
            }
            Self::PartitionOutOfRange { .. } => {
                "Use a partition below the topic's count. The count of a topic never changes."
            }
            Self::OffsetOutOfRange { .. } => {
                "If the end lies before a position that was stored, the log was replaced or cut: restore \
                 the log, or rebuild the store from it. Do not reset the position by hand."
            }
            Self::PartitionCountMismatch { .. } => {
                "Configure the number of partitions that the topic has; co-partitioned topics need equal counts."
            }
            Self::Locked { .. } => {
                "One process at a time may write a log. Stop the holder, or use another directory."
            }
            Self::NotALog { .. } => "Check the path. A run that writes to it creates the log.",
            Self::UnsupportedFormat { .. } => "Open it with the version of the program that wrote it.",
            Self::Corrupt { .. } => {
                "Nothing was changed. Check the disk and restore the directory from a copy. Only if the machine \
                 lost power during the last write and the position is that of the last frame of the last segment, \
                 that frame was never acknowledged: cutting the file at this position removes it."
            }
            Self::DiskFull { .. } => {
                "The transaction was not committed. Free space or raise the limit, then start again."
            }
            Self::ReadOnly { .. } => {
                "Check mount options, permissions, and whether the log was opened for reading."
            }
            Self::Io { .. } => "Look at the operating system's words and its log; the disk may be failing.",
            Self::Poisoned { .. } => {
                "Check the disk, then restart: opening the log again finds its true end. Nothing committed is lost."
            }
            Self::ProducerFenced { .. } => {
                "Two workers share one identity. Give each instance its own ordinal, and stop the duplicate."
            }
            Self::TransactionTooLarge { .. } => {
                "Commit more often, use smaller batches, or raise the limit of a transaction."
            }
            Self::InvalidArgument { .. } => "Correct the value that the message names.",
            Self::Unreachable { .. } => {
                "Check kafka.bootstrap_servers and whether the brokers run and can be reached from here. Nothing was \
                 lost: start again when they do."
            }
            Self::Authentication { .. } => {
                "Check kafka.sasl.mechanism, kafka.sasl.username and the password, and that the user exists in the cluster."
            }
            Self::Tls { .. } => {
                "Check that the brokers' certificates are valid today, name the hosts in kafka.bootstrap_servers, and are \
                 signed by an authority in kafka.tls.ca_file; and that the port speaks TLS."
            }
            Self::NotAuthorized { .. } => {
                "Give the user the right that the message names. docs/kafka.md lists all that Settle needs."
            }
            Self::DuplicateInstance { .. } => {
                "Give each process its own application.instance, and stop the duplicate. The process that started last \
                 goes on."
            }
            Self::ClientSettings { .. } => {
                "Correct the setting that the message names; docs/configuration.md lists all."
            }
            Self::Kafka { .. } => {
                "Look at the cluster's words and at the brokers' logs. Nothing was lost: the state is that of the last commit."
            }
            Self::InvalidState { .. } | Self::NotAssigned { .. } => {
                "This is a defect of the program: please report it with the message."
            }
        }
    }

    /// A failed write, mapped to what an operator can act on.
    pub(crate) fn writing(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, source }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Io { operation, path, source },
        }
    }

    /// A failed read.
    pub(crate) fn reading(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), source }
    }
}

/// Why a commit did not succeed: the four outcomes that a worker must tell apart. In each of them the
/// producer has no open transaction any more.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Not committed, and the producer can begin again: seek back and repeat the work.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// Why.
        #[source]
        reason: Error,
    },
    /// Committed or not, nobody can say: drop what was derived from it, restore from the log, and use a
    /// new producer.
    #[error("it is not known whether the transaction was committed: {reason}")]
    Unknown {
        /// Why.
        #[source]
        reason: Error,
    },
    /// Not committed: another producer owns the transactional id. Stop this worker.
    #[error("the transaction was refused: {reason}")]
    Fenced {
        /// Why.
        #[source]
        reason: Error,
    },
    /// Not committed, and this log takes no further transactions. Stop and tell an operator.
    #[error("the transaction failed for good: {reason}")]
    Fatal {
        /// Why.
        #[source]
        reason: Error,
    },
}

impl CommitError {
    /// The cause, with its code and hint.
    pub fn reason(&self) -> &Error {
        match self {
            Self::Aborted { reason }
            | Self::Unknown { reason }
            | Self::Fenced { reason }
            | Self::Fatal { reason } => reason,
        }
    }

    /// The cause, taken out.
    pub fn into_reason(self) -> Error {
        match self {
            Self::Aborted { reason }
            | Self::Unknown { reason }
            | Self::Fenced { reason }
            | Self::Fatal { reason } => reason,
        }
    }

    /// Code of the cause.
    pub fn code(&self) -> &'static str {
        self.reason().code()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn one_of_each() -> Vec<Error> {
        let path = PathBuf::from("data/log");
        let partition = TopicPartition::new("t", 3);
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        vec![
            Error::UnknownTopic { topic: "t".into() },
            Error::PartitionOutOfRange { partition: partition.clone(), partitions: 2 },
            Error::OffsetOutOfRange { partition: partition.clone(), offset: 9, start: 0, end: 4 },
            Error::PartitionCountMismatch { topic: "t".into(), existing: 2, requested: 3 },
            Error::Locked { path: path.clone(), holder: LockHolder::default() },
            Error::NotALog { path: path.clone(), what: "it has no FORMAT file" },
            Error::UnsupportedFormat { path: path.clone(), found: "2".into(), supported: 1 },
            Error::Corrupt { file: path.clone(), position: 7, what: "wrong magic".into() },
            Error::DiskFull { path: path.clone(), source: full() },
            Error::ReadOnly { path: path.clone(), source: full() },
            Error::Io { operation: "read", path: path.clone(), source: full() },
            Error::Poisoned { path, reason: "a sync failed".into() },
            Error::ProducerFenced { transactional_id: "settle/authorize/0/0".into() },
            Error::TransactionTooLarge { bytes: 2, limit: 1 },
            Error::InvalidArgument { what: "a topic has 1 to 10000 partitions, not 0".into() },
            Error::InvalidState { what: "send needs an open transaction" },
            Error::NotAssigned { partition },
            Error::Unreachable { brokers: "b:9092".into(), operation: "connect", what: "refused".into() },
            Error::Authentication { brokers: "b:9092".into(), what: "invalid credentials".into() },
            Error::Tls { brokers: "b:9092".into(), what: "certificate has expired".into() },
            Error::NotAuthorized { operation: "read", subject: "t".into(), what: "denied".into() },
            Error::DuplicateInstance { identity: "settle-authorize-0-0".into() },
            Error::ClientSettings { what: "no such property".into() },
            Error::Kafka { operation: "write", subject: "t".into(), what: "too large".into() },
        ]
    }

    #[test]
    fn codes_are_distinct_consecutive_and_listed_in_the_table() {
        let errors = one_of_each();
        let codes: BTreeSet<&str> = errors.iter().map(Error::code).collect();
        let expected: BTreeSet<String> = (101..101 + errors.len()).map(|n| format!("STL-{n:04}")).collect();
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
    fn failed_writes_are_mapped_to_what_an_operator_can_act_on() {
        let cases = [
            (io::ErrorKind::StorageFull, "STL-0109"),
            (io::ErrorKind::QuotaExceeded, "STL-0109"),
            (io::ErrorKind::FileTooLarge, "STL-0109"),
            (io::ErrorKind::ReadOnlyFilesystem, "STL-0110"),
            (io::ErrorKind::PermissionDenied, "STL-0110"),
            (io::ErrorKind::UnexpectedEof, "STL-0111"),
        ];
        for (kind, code) in cases {
            assert_eq!(Error::writing("write", Path::new("f"), kind.into()).code(), code, "{kind:?}");
        }
    }

    #[test]
    fn the_lock_error_names_process_and_path() {
        let holder = LockHolder { pid: Some(4711), program: "settle".into() };
        let error = Error::Locked { path: "data/log".into(), holder };
        assert_eq!(error.to_string(), "the log at data/log is in use by process 4711 (settle)");
    }
}
