//! Appending frames: the only code that changes a log that is open.
//!
//! Owns the end of the log and what happens when a disk refuses. Must not know consumers or the index:
//! its caller publishes a frame after it was appended.
//!
//! | what fails | state of the disk | result | afterwards |
//! |---|---|---|---|
//! | creating a segment | as before | Aborted | works on |
//! | syncing the directory | an empty segment, perhaps not durable | Fatal | poisoned |
//! | writing | cut back to the last good end | Aborted | works on |
//! | writing, then cutting | an unfinished frame, which opening cuts off | Fatal | poisoned |
//! | syncing the frame | nobody knows | Unknown | poisoned |
//!
//! A failed sync is never repeated: the kernel may have dropped the pages and report success. A poisoned
//! writer refuses everything until the log is opened again, which looks at what is really there.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::{self, FrameContents, HEADER_BYTES, TRAILER_BYTES};
use super::options::{EmbeddedOptions, SyncMode};
use super::recovery::ActiveSegment;
use super::storage::{Storage, write_all_at};
use crate::error::{CommitError, Error};

/// A buffer that a large transaction made larger than this is given back.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Where a frame's body was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) segment: u64,
    pub(super) body_position: u64,
}

#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
    options: EmbeddedOptions,
    active: Option<ActiveSegment>,
    next_sequence: u64,
    poisoned: Option<String>,
    frame: Vec<u8>,
    epochs: BTreeMap<String, u64>,
}

impl Writer {
    pub(super) fn new(
        directory: PathBuf,
        storage: Arc<dyn Storage>,
        options: EmbeddedOptions,
        active: Option<ActiveSegment>,
        next_sequence: u64,
    ) -> Self {
        Self {
            directory,
            storage,
            options,
            active,
            next_sequence,
            poisoned: None,
            frame: Vec::new(),
            epochs: BTreeMap::new(),
        }
    }

    /// Takes over a transactional id; producers with an older epoch are fenced from now on.
    pub(super) fn new_epoch(&mut self, transactional_id: &str) -> u64 {
        let epoch = self.epochs.entry(transactional_id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    pub(super) fn check_epoch(&self, transactional_id: &str, epoch: u64) -> Result<(), Error> {
        if self.epochs.get(transactional_id) != Some(&epoch) {
            return Err(Error::ProducerFenced { transactional_id: transactional_id.to_owned() });
        }
        Ok(())
    }

    pub(super) fn check_usable(&self) -> Result<(), Error> {
        match &self.poisoned {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned { path: self.directory.clone(), reason: reason.clone() }),
        }
    }

    pub(super) fn poison(&mut self, reason: String) {
        tracing::error!(path = %self.directory.display(), reason, "the log takes no more transactions");
        self.poisoned = Some(reason);
    }

    /// The body of the frame that was appended last.
    pub(super) fn last_body(&self) -> &[u8] {
        &self.frame[HEADER_BYTES..self.frame.len() - TRAILER_BYTES]
    }

    /// Gives back what a large transaction needed.
    pub(super) fn release_buffer(&mut self) {
        if self.frame.capacity() > KEPT_BUFFER_BYTES {
            self.frame = Vec::new();
        }
    }

    /// Appends one frame and makes it durable, or says what became of it.
    pub(super) fn append(&mut self, contents: &FrameContents<'_>) -> Result<Appended, CommitError> {
        self.check_usable().map_err(|reason| CommitError::Fatal { reason })?;
        if !frame::encode(self.next_sequence, contents, &mut self.frame) {
            let bytes = u64::try_from(self.frame.len()).expect("a slice in memory is shorter than 2^64");
            let reason = Error::TransactionTooLarge { bytes, limit: u64::from(u32::MAX) };
            return Err(CommitError::Aborted { reason });
        }
        let frame_bytes = u64::try_from(self.frame.len()).expect("a slice in memory is shorter than 2^64");
        let mut active = self.segment_for(frame_bytes)?;
        let written = write_all_at(active.file.as_ref(), &self.frame, active.end);
        let result = match written {
            Ok(()) => self.sync_and_advance(&mut active, frame_bytes),
            Err(error) => Err(self.undo(&active, error)),
        };
        self.active = Some(active);
        result
    }

    /// Takes out the segment that the frame goes to, which is a new one when the present one is full.
    fn segment_for(&mut self, frame_bytes: u64) -> Result<ActiveSegment, CommitError> {
        let fits = |active: &ActiveSegment| {
            active.end == 0 || active.end.saturating_add(frame_bytes) <= self.options.segment_bytes
        };
        if let Some(active) = self.active.take_if(|active| fits(active)) {
            return Ok(active);
        }
        let first_sequence = self.next_sequence;
        let path = self.storage.segment_path(first_sequence);
        let created = self.storage.create_segment(first_sequence);
        let file = created
            .map_err(|source| CommitError::Aborted { reason: Error::writing("create", &path, source) })?;
        if self.options.sync == SyncMode::Commit
            && let Err(source) = self.storage.sync_directory()
        {
            self.poison(format!("the directory could not be synced for a new segment: {source}"));
            return Err(CommitError::Fatal { reason: Error::writing("sync", &self.directory, source) });
        }
        Ok(ActiveSegment { first_sequence, file, end: 0 })
    }

    fn sync_and_advance(
        &mut self,
        active: &mut ActiveSegment,
        frame_bytes: u64,
    ) -> Result<Appended, CommitError> {
        if self.options.sync == SyncMode::Commit
            && let Err(source) = active.file.sync()
        {
            let path = self.storage.segment_path(active.first_sequence);
            self.poison(format!("a transaction could not be synced to {}: {source}", path.display()));
            return Err(CommitError::Unknown { reason: Error::writing("sync", &path, source) });
        }
        let header_bytes = u64::try_from(HEADER_BYTES).expect("a small constant");
        let body_position = active.end + header_bytes;
        active.end += frame_bytes;
        self.next_sequence += 1;
        Ok(Appended { segment: active.first_sequence, body_position })
    }

    /// Cuts off what a failed write left behind.
    fn undo(&mut self, active: &ActiveSegment, error: io::Error) -> CommitError {
        let path = self.storage.segment_path(active.first_sequence);
        let truncated = active.file.truncate(active.end);
        let write_failure = error.to_string();
        let reason = Error::writing("write", &path, error);
        match truncated {
            Ok(()) => CommitError::Aborted { reason },
            Err(second) => {
                self.poison(format!(
                    "a write to {} failed ({write_failure}), and so did cutting it off ({second})",
                    path.display()
                ));
                CommitError::Fatal { reason }
            }
        }
    }
}
