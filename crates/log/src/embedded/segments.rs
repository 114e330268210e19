//! Reading chunks: a bounded pool of open segments, positioned reads, checksums.
//!
//! Owns the handles that readers share. Must not know what a chunk's records look like.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::frame::CHUNK_CHECKSUM_BYTES;
use super::index::ChunkEntry;
use super::storage::{Access, SegmentFile, Storage, read_exact_at};
use crate::error::Error;

/// Most segments that are open for reading at a time.
const MOST_OPEN_SEGMENTS: usize = 32;

/// Opens segments when they are read, and keeps the most recently opened ones.
#[derive(Debug)]
pub(super) struct SegmentPool {
    storage: Arc<dyn Storage>,
    open: Mutex<VecDeque<(u64, Arc<dyn SegmentFile>)>>,
}

impl SegmentPool {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, open: Mutex::default() }
    }

    pub(super) fn path(&self, segment: u64) -> PathBuf {
        self.storage.segment_path(segment)
    }

    /// The records of a chunk, verified.
    pub(super) fn read_chunk(&self, chunk: &ChunkEntry) -> Result<Bytes, Error> {
        let path = || self.path(chunk.segment);
        let corrupt = |what: String| Error::Corrupt { file: path(), position: chunk.position, what };
        let file = self.segment(chunk.segment).map_err(|source| Error::reading("open", &path(), source))?;
        let length = usize::try_from(chunk.length).expect("a 32-bit length fits the address space");
        let mut buffer = vec![0; CHUNK_CHECKSUM_BYTES + length];
        match read_exact_at(file.as_ref(), &mut buffer, chunk.position) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("the file was cut while the log was open".to_owned()));
            }
            Err(source) => return Err(Error::reading("read", &path(), source)),
        }
        let (stored, records) =
            buffer.split_first_chunk::<CHUNK_CHECKSUM_BYTES>().expect("the buffer begins with a checksum");
        let found = crc32c::crc32c(records);
        let expected = u32::from_le_bytes(*stored);
        if found != expected {
            let what = format!("the checksum of a chunk is {found:08x}, expected {expected:08x}");
            return Err(corrupt(what));
        }
        Ok(Bytes::from(buffer).slice(CHUNK_CHECKSUM_BYTES..))
    }

    fn segment(&self, segment: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.iter().find(|(sequence, _)| *sequence == segment) {
            return Ok(Arc::clone(file));
        }
        let file = self.storage.open_segment(segment, Access::Read)?;
        if open.len() == MOST_OPEN_SEGMENTS {
            open.pop_front();
        }
        open.push_back((segment, Arc::clone(&file)));
        Ok(file)
    }
}
