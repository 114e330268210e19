//! A copy of a store's files at a committed point, waiting to be uploaded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::DB;
use settle_types::Timestamp;

use super::manifest::Line;
use crate::error::Error;
use crate::progress::{Identity, Progress};

/// The files of a store as they were at one journal offset, in a directory of its own.
///
/// Table files are hard links: the copy costs no space until the store has dropped them. It is removed when the
/// checkpoint is dropped, after its upload or without one.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    line: Line,
    journal_next_offset: u64,
    created_at: Timestamp,
}

impl Checkpoint {
    /// Copies the files of a database whose writes have all been flushed.
    pub(crate) fn write(
        database: &DB,
        into: &Path,
        identity: Identity<'_>,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Self, Error> {
        // RocksDB makes the directory itself.
        match fs::remove_dir(into) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::DirectoryNotEmpty { directory: into.to_path_buf() });
            }
            _ => {}
        }
        if let Some(parent) = into.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::from_io("create", parent, &error))?;
        }
        let failed = |error| Error::from_rocksdb("make a checkpoint of", into, error);
        let copy = rocksdb::checkpoint::Checkpoint::new(database).map_err(failed)?;
        copy.create_checkpoint(into).map_err(failed)?;
        Ok(Self {
            directory: into.to_path_buf(),
            line: Line::new(identity, &progress.journal_topic_identity),
            journal_next_offset: progress.journal_next_offset,
            created_at: now,
        })
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Offset of the next journal record to fold.
    pub fn journal_next_offset(&self) -> u64 {
        self.journal_next_offset
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            let directory = self.directory.display();
            tracing::warn!(%directory, %error, "a checkpoint could not be removed and takes up space");
        }
    }
}
