//! Streams of bytes that together do not fit into memory: many of them in one temporary file.
//!
//! Each stream is appended to, then read once from its start. A stream costs memory for what it has not written yet (all
//! of them together at most [`BUFFERED_BYTES`]) and 16 bytes for each piece in the file. The file has no name: it is gone
//! when the process ends, however it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Error;

/// What all streams of a file hold in memory, at most, before they write it.
const BUFFERED_BYTES: usize = 16 << 20;
/// A stream writes when it holds so much.
const PIECE_BYTES: usize = 32 << 10;

fn failed(operation: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Scratch { operation, source }
}

/// Many streams in one file, by key.
pub(crate) struct Spill<K> {
    file: File,
    end: u64,
    streams: BTreeMap<K, Stream>,
    buffered: usize,
}

#[derive(Default)]
struct Stream {
    buffer: Vec<u8>,
    pieces: Vec<(u64, usize)>,
}

impl<K: Ord + Clone> Spill<K> {
    /// No streams; the file stands in `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(folder).map_err(failed("create a file"))?;
        Ok(Self { file, end: 0, streams: BTreeMap::new(), buffered: 0 })
    }

    /// Adds to the end of a stream.
    pub(crate) fn append(&mut self, key: &K, bytes: &[u8]) -> Result<(), Error> {
        let stream = match self.streams.get_mut(key) {
            Some(stream) => stream,
            None => self.streams.entry(key.clone()).or_default(),
        };
        stream.buffer.extend_from_slice(bytes);
        self.buffered += bytes.len();
        if stream.buffer.len() >= PIECE_BYTES {
            self.buffered -= stream.buffer.len();
            stream.write(&self.file, &mut self.end)?;
        } else if self.buffered >= BUFFERED_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        for stream in self.streams.values_mut() {
            stream.write(&self.file, &mut self.end)?;
        }
        self.buffered = 0;
        Ok(())
    }

    /// Keys of the streams that were written to, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.streams.keys()
    }

    /// As [`Self::keys`], from one key to another one.
    pub(crate) fn keys_between(&self, first: K, last: K) -> impl Iterator<Item = &K> {
        self.streams.range(first..=last).map(|(key, _)| key)
    }

    /// Takes a stream to read it from its start; an empty one if nothing was written to it.
    pub(crate) fn take(&mut self, key: &K) -> Result<SpillReader, Error> {
        let mut stream = self.streams.remove(key).unwrap_or_default();
        self.buffered -= stream.buffer.len();
        stream.write(&self.file, &mut self.end)?;
        let file = self.file.try_clone().map_err(failed("read a file"))?;
        stream.pieces.reverse();
        Ok(SpillReader { file, pieces: stream.pieces, buffer: Vec::new(), position: 0 })
    }
}

impl Stream {
    fn write(&mut self, file: &File, end: &mut u64) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        file.write_all_at(&self.buffer, *end).map_err(failed("write a file"))?;
        self.pieces.push((*end, self.buffer.len()));
        *end += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        // The memory goes, too: there may be many streams.
        self.buffer = Vec::new();
        Ok(())
    }
}

/// Reads a stream from its start.
pub(crate) struct SpillReader {
    file: File,
    /// Where the pieces that were not read stand, the last one first.
    pieces: Vec<(u64, usize)>,
    buffer: Vec<u8>,
    position: usize,
}

impl SpillReader {
    /// The next `length` bytes; none at the end. What was appended at once is read at once or in parts, as is wanted.
    pub(crate) fn read(&mut self, length: usize) -> Result<Option<&[u8]>, Error> {
        while self.buffer.len() - self.position < length {
            let Some((offset, size)) = self.pieces.pop() else { return Ok(None) };
            self.buffer.drain(..self.position);
            self.position = 0;
            let start = self.buffer.len();
            self.buffer.resize(start + size, 0);
            self.file.read_exact_at(&mut self.buffer[start..], offset).map_err(failed("read a file"))?;
        }
        let start = self.position;
        self.position += length;
        Ok(Some(&self.buffer[start..self.position]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_streams_come_back_each_in_its_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut spill = Spill::new(folder.path()).expect("a file");
        let numbers = 0..40_000_u64;
        for number in numbers.clone() {
            spill.append(&(number % 7), &number.to_be_bytes()).expect("space");
        }
        assert!(spill.end > 0, "something was written to the file");
        assert_eq!(spill.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        for key in 0..7 {
            let mut reader = spill.take(&key).expect("a stream");
            let mut expected = numbers.clone().filter(|number| number % 7 == key);
            while let Some(bytes) = reader.read(8).expect("readable") {
                let number = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                assert_eq!(Some(number), expected.next());
            }
            assert_eq!(expected.next(), None);
        }
        assert!(spill.take(&9).expect("an empty stream").read(1).expect("readable").is_none());
    }
}
