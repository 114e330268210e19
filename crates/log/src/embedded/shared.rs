//! What all handles of one open log share: the index that readers see, the writer, the open segments.
//!
//! Owns the locks and their order: the writer first, then the index. The index is held for look-ups and
//! publications only, never during I/O, so that readers do not wait for a commit's sync.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::directory::{self, DirectoryLock};
use super::frame::{self, FrameContents};
use super::index::Index;
use super::options::EmbeddedOptions;
use super::recovery::{Recovered, recover};
use super::segments::SegmentPool;
use super::storage::{Access, Storage};
use super::writer::Writer;
use crate::error::{CommitError, Error};

pub(super) struct Shared {
    directory: PathBuf,
    options: EmbeddedOptions,
    index: Mutex<Index>,
    published: Condvar,
    /// `None` when the log was opened for reading only.
    writer: Option<Mutex<Writer>>,
    segments: SegmentPool,
    _lock: DirectoryLock,
}

impl Shared {
    pub(super) fn open(
        directory: &Path,
        options: EmbeddedOptions,
        storage: Arc<dyn Storage>,
        access: Access,
    ) -> Result<Self, Error> {
        let list_segments =
            || storage.list_segments().map_err(|source| Error::reading("list", directory, source));
        let lock = match access {
            Access::Write => directory::lock_for_writing(directory)?,
            Access::Read if directory.is_dir() => {
                // Before the lock, which would leave a file in a directory that is no log.
                directory::check_format(directory, access, !list_segments()?.is_empty())?;
                directory::lock_for_reading(directory)?
            }
            Access::Read => {
                let what = "the directory does not exist";
                return Err(Error::NotALog { path: directory.to_path_buf(), what });
            }
        };
        let segments = list_segments()?;
        directory::check_format(directory, access, !segments.is_empty())?;
        let Recovered { index, active, next_sequence } =
            recover(storage.as_ref(), &segments, access, options.sync)?;
        let writer = (access == Access::Write).then(|| {
            let storage = Arc::clone(&storage);
            Mutex::new(Writer::new(directory.to_path_buf(), storage, options, active, next_sequence))
        });
        Ok(Self {
            directory: directory.to_path_buf(),
            options,
            index: Mutex::new(index),
            published: Condvar::new(),
            writer,
            segments: SegmentPool::new(storage),
            _lock: lock,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn options(&self) -> &EmbeddedOptions {
        &self.options
    }

    pub(super) fn segments(&self) -> &SegmentPool {
        &self.segments
    }

    /// The index. A panic elsewhere cannot leave it half changed for long: it is changed in one place,
    /// from frames that follow it by construction.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` holds for the index, at most `timeout`.
    pub(super) fn wait_until(&self, timeout: Duration, ready: impl Fn(&Index) -> bool) {
        let guard = self.index();
        let waited = self.published.wait_timeout_while(guard, timeout, |index| !ready(index));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The writer; whoever holds it appends next.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, Error> {
        let Some(writer) = &self.writer else {
            let path = self.directory.clone();
            let kind = std::io::ErrorKind::ReadOnlyFilesystem;
            let source = std::io::Error::new(kind, "the log was opened for reading only");
            return Err(Error::ReadOnly { path, source });
        };
        Ok(writer.lock().unwrap_or_else(|poisoned| {
            let mut guard = poisoned.into_inner();
            guard.poison("a thread panicked while it was committing".to_owned());
            guard
        }))
    }

    /// Appends a frame, makes it durable, and only then shows it to readers and wakes them.
    pub(super) fn commit(
        &self,
        writer: &mut Writer,
        contents: &FrameContents<'_>,
    ) -> Result<(), CommitError> {
        let appended = writer.append(contents)?;
        let body = frame::decode_body(writer.last_body()).expect("it was encoded by this process");
        self.index()
            .apply(&body, appended.segment, appended.body_position)
            .expect("offsets and names were taken from the index while the writer was held");
        writer.release_buffer();
        self.published.notify_all();
        Ok(())
    }
}
