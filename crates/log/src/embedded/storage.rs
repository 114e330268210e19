//! The file layer: what the log asks of a disk, and the directory that answers it.
//!
//! Owns names and system calls. Must not know frames. The traits are a seam: tests put a layer between
//! that fails at a chosen call (see [`faults`](super::faults)).

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether files are opened to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and appending.
    Write,
    /// Reading only: nothing on disk is changed.
    Read,
}

/// Where segments are kept. A segment is named by the sequence of its first transaction.
pub trait Storage: Debug + Send + Sync {
    /// The sequences that name the segments, ascending.
    fn list_segments(&self) -> io::Result<Vec<u64>>;

    /// Opens an existing segment.
    fn open_segment(&self, first_sequence: u64, access: Access) -> io::Result<Arc<dyn SegmentFile>>;

    /// Creates a segment; an empty one of that name, left by a failed attempt, is taken.
    fn create_segment(&self, first_sequence: u64) -> io::Result<Arc<dyn SegmentFile>>;

    /// Makes the names of created segments durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Path of a segment, for messages.
    fn segment_path(&self, first_sequence: u64) -> PathBuf;
}

/// One segment.
pub trait SegmentFile: Debug + Send + Sync {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads at `position`; may read less than asked for, and 0 at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes at `position`; may write less than asked for.
    fn append_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Makes contents and length durable (fdatasync).
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// Fills `buffer`, or fails with `UnexpectedEof`.
pub(super) fn read_exact_at(file: &dyn SegmentFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], advanced(position, done)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes`, however many calls it takes.
pub(super) fn write_all_at(file: &dyn SegmentFile, bytes: &[u8], position: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.append_at(&bytes[done..], advanced(position, done)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn advanced(position: u64, done: usize) -> u64 {
    position + u64::try_from(done).expect("a slice in memory is shorter than 2^64")
}

/// Segments as files of a directory.
#[derive(Debug)]
pub struct DirectoryStorage {
    directory: PathBuf,
}

impl DirectoryStorage {
    /// The segments of `directory`, which must exist.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }
}

const PREFIX: &str = "segment-";
const SUFFIX: &str = ".log";
const SEQUENCE_DIGITS: usize = 20;

fn sequence_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    if digits.len() != SEQUENCE_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

impl Storage for DirectoryStorage {
    fn list_segments(&self) -> io::Result<Vec<u64>> {
        let mut sequences = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let file_name = entry?.file_name();
            if let Some(sequence) = file_name.to_str().and_then(sequence_of) {
                sequences.push(sequence);
            }
        }
        sequences.sort_unstable();
        Ok(sequences)
    }

    fn open_segment(&self, first_sequence: u64, access: Access) -> io::Result<Arc<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write);
        Ok(Arc::new(options.open(self.segment_path(first_sequence))?))
    }

    fn create_segment(&self, first_sequence: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.segment_path(first_sequence))?;
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a segment of that name is not empty"));
        }
        Ok(Arc::new(file))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn segment_path(&self, first_sequence: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{first_sequence:0SEQUENCE_DIGITS$}{SUFFIX}"))
    }
}

impl SegmentFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn append_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_segment_names_are_segments() {
        let cases = [
            ("segment-00000000000000000000.log", Some(0)),
            ("segment-00000000000000000042.log", Some(42)),
            ("segment-18446744073709551615.log", Some(u64::MAX)),
            ("segment-99999999999999999999.log", None),
            ("segment-42.log", None),
            ("segment-+0000000000000000042.log", None),
            ("segment-00000000000000000042.log.bak", None),
            ("LOCK", None),
        ];
        for (name, sequence) in cases {
            assert_eq!(sequence_of(name), sequence, "{name}");
        }
    }

    #[test]
    fn segments_are_listed_in_order_and_an_empty_one_is_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let storage = DirectoryStorage::new(directory.path());
        for sequence in [7, 0] {
            write_all_at(storage.create_segment(sequence).unwrap().as_ref(), b"frame", 0).unwrap();
        }
        storage.create_segment(9).unwrap();
        storage.create_segment(9).unwrap();
        assert_eq!(storage.list_segments().unwrap(), [0, 7, 9]);
        let taken = storage.create_segment(7).map_err(|error| error.kind());
        assert_eq!(taken.err(), Some(io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn reading_beyond_the_end_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let storage = DirectoryStorage::new(directory.path());
        let file = storage.create_segment(0).unwrap();
        write_all_at(file.as_ref(), b"frame", 0).unwrap();
        let mut buffer = [0; 4];
        read_exact_at(file.as_ref(), &mut buffer, 1).unwrap();
        assert_eq!(&buffer, b"rame");
        let error = read_exact_at(file.as_ref(), &mut buffer, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
