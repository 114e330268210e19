//! The embedded log: a directory on disk, written and read inside this process.
//!
//! ```text
//! DIR/FORMAT                             which format the directory has
//! DIR/LOCK                               held while the log is open; names its holder
//! DIR/segment-00000000000000000000.log   frames; named by the sequence of the first one
//! DIR/segment-00000000000000000815.log
//! ```
//!
//! All topics share one sequence of frames; a frame is one committed transaction (`frame` has its bytes).
//! A transaction is atomic because it is one frame with a checksum, whatever topics and groups it
//! touches.
//!
//! # What is synced, and when
//! With [`SyncMode::Commit`]:
//! - a commit: its frame is written and synced (one fdatasync), then published to readers, then
//!   acknowledged. What a reader has seen is durable.
//! - a new segment: the directory is synced before the first frame goes into it.
//! - opening: the last frame is written again and synced, and the directory is synced, before anything
//!   is published, so that this also holds for what a killed process left in the system's cache.
//! - creating a topic is a commit.
//!
//! With [`SyncMode::Never`] nothing is synced but the `FORMAT` file.
//!
//! # What opening finds
//! All frames are read and verified, so opening takes time in proportion to the log. An unfinished frame
//! at the end of the last segment was never acknowledged and is cut off. Other damage is an error that
//! names file and byte, and nothing is changed. Two losses cannot be told from a shorter log: a last
//! segment that was deleted, or cut exactly between two frames; a worker notices them by its positions.
//!
//! # Limits
//! Nothing is ever removed: every partition starts at offset 0. A partition's assignment is static:
//! number modulo members. Memory holds about 32 bytes for each partition that a transaction wrote, and
//! for each consumer one chunk (256 KiB, or one larger record) of each partition that it is reading.
//!
//! A process that may meet a file-size limit has to ignore the signal SIGXFSZ: the limit is then reported
//! as a full disk.

pub mod faults;
pub mod storage;

mod codec;
mod consumer;
mod cursor;
mod directory;
mod frame;
mod index;
mod options;
mod producer;
mod reader;
mod record_codec;
mod recovery;
mod segments;
mod shared;
mod writer;

#[cfg(test)]
mod fuzz_tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use self::frame::{FrameContents, MAX_PARTITIONS};
pub use self::options::{EmbeddedOptions, SyncMode};
use self::shared::Shared;
use self::storage::{Access, DirectoryStorage, Storage};
use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::{CommitError, Error};
use crate::log::{CreateOutcome, Log, Reader, TopicDescription, TopicSettings};
use crate::producer::TransactionalProducer;
use crate::record::TopicPartition;

/// Longest name of a topic, as in Kafka, and of a group, a transactional id or a member here.
const LONGEST_NAME_BYTES: usize = 249;

/// An open embedded log. Cloning gives another handle to the same one; the directory is released when
/// the last handle, consumer, producer and reader is dropped.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

impl EmbeddedLog {
    /// Opens the log in `directory` for reading and writing, and creates it if it is absent.
    ///
    /// # Errors
    /// [`Error::Locked`] when anybody else has it open; [`Error::Corrupt`] and
    /// [`Error::UnsupportedFormat`] for what cannot be read; [`Error::DiskFull`], [`Error::ReadOnly`].
    pub fn open(directory: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, Error> {
        let directory = directory.as_ref();
        Self::open_with_storage(directory, options, Arc::new(DirectoryStorage::new(directory)))
    }

    /// Like [`open`](Self::open), with another file layer below the segments: the seam for faults.
    pub fn open_with_storage(
        directory: impl AsRef<Path>,
        options: EmbeddedOptions,
        storage: Arc<dyn Storage>,
    ) -> Result<Self, Error> {
        options.check()?;
        let shared = Shared::open(directory.as_ref(), options, storage, Access::Write)?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens an existing log that nobody is writing, together with any number of other readers. Nothing
    /// of the log is changed: an unfinished frame at the end is passed over, not cut off. Creating
    /// topics and producers is refused with [`Error::ReadOnly`].
    ///
    /// # Errors
    /// [`Error::Locked`] when a writer has it open; [`Error::NotALog`]; those of [`open`](Self::open).
    pub fn open_read_only(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let storage = Arc::new(DirectoryStorage::new(directory));
        let shared = Shared::open(directory, EmbeddedOptions::default(), storage, Access::Read)?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The committed positions of a group; partitions without one are absent.
    pub fn committed_offsets(&self, group: &str) -> BTreeMap<TopicPartition, u64> {
        self.shared.index().positions(group)
    }
}

impl Log for EmbeddedLog {
    fn describe(&self) -> String {
        format!("embedded log at {}", self.shared.directory().display())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Error> {
        Ok(self.shared.index().topics())
    }

    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
        let topics = self.topics()?.into_iter().filter(|topic| names.contains(&&*topic.name));
        Ok(topics
            .map(|topic| TopicSettings {
                name: topic.name,
                partitions: topic.partitions,
                retention_ms: None,
                retention_bytes: None,
                cleanup_policy: None,
                // A topic of this log is never removed.
                identity: String::new(),
                may_read: true,
                may_write: self.shared.writer().is_ok(),
            })
            .collect())
    }

    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
        check_topic_name(name)?;
        if partitions == 0 || partitions > MAX_PARTITIONS {
            let what = format!("a topic has 1 to {MAX_PARTITIONS} partitions, not {partitions}");
            return Err(Error::InvalidArgument { what });
        }
        // The writer is held from the look-up to the publication: two callers cannot both create it.
        let mut writer = self.shared.writer()?;
        let existing = self.shared.index().partition_count(name);
        match existing {
            Ok(existing) if existing == partitions => Ok(CreateOutcome::Exists),
            Ok(existing) => {
                Err(Error::PartitionCountMismatch { topic: name.to_owned(), existing, requested: partitions })
            }
            Err(_) => {
                let contents = FrameContents { topics: vec![(name, partitions)], ..Default::default() };
                let committed = self.shared.commit(&mut writer, &contents);
                committed.map_err(CommitError::into_reason)?;
                Ok(CreateOutcome::Created)
            }
        }
    }

    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error> {
        Ok(Box::new(consumer::EmbeddedConsumer::new(Arc::clone(&self.shared), options)?))
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error> {
        check_name("a transactional id", transactional_id)?;
        Ok(Box::new(producer::EmbeddedProducer::new(Arc::clone(&self.shared), transactional_id)?))
    }

    fn group_positions(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        let mut positions = self.committed_offsets(group);
        positions.retain(|partition, _| partitions.contains(partition));
        Ok(Some(positions))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(reader::EmbeddedReader::new(Arc::clone(&self.shared))))
    }
}

/// Kafka's rule, so that a log can move there.
fn check_topic_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let legal = !name.is_empty() && name.len() <= LONGEST_NAME_BYTES && name.bytes().all(allowed);
    if !legal || name == "." || name == ".." {
        let what = format!(
            "{name:?} is no name for a topic: expected 1 to {LONGEST_NAME_BYTES} ASCII letters, digits, '.', '_' or '-'"
        );
        return Err(Error::InvalidArgument { what });
    }
    Ok(())
}

fn check_name(kind: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LONGEST_NAME_BYTES {
        let bytes = name.len();
        let what = format!("{kind} is 1 to {LONGEST_NAME_BYTES} bytes long, not {bytes}");
        return Err(Error::InvalidArgument { what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_follow_kafkas_rule() {
        let longest = "t".repeat(249);
        for name in ["payments.requested", "A-b_c.9", "...", longest.as_str()] {
            assert!(check_topic_name(name).is_ok(), "{name}");
        }
        let too_long = "t".repeat(250);
        for name in ["", ".", "..", "a b", "a/b", "zahlungsaufträge", too_long.as_str()] {
            assert_eq!(check_topic_name(name).map_err(|error| error.code()), Err("STL-0115"), "{name}");
        }
    }
}
