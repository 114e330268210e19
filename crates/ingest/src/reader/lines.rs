//! Lines of a byte stream, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

/// Size of reads.
const BUFFER_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line with its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// The line, with `\n` or `\r\n` where it has one; of a line that is too long, its beginning.
    pub(super) bytes: Vec<u8>,
    /// True if the line is longer than the limit; the rest of it is skipped.
    pub(super) is_too_long: bool,
}

impl Line {
    /// The line without its end.
    pub(super) fn content(&self) -> &[u8] {
        split_line_end(&self.bytes).0
    }

    /// True if there is nothing but spaces.
    pub(super) fn is_blank(&self) -> bool {
        !self.is_too_long && self.content().iter().all(u8::is_ascii_whitespace)
    }
}

/// A line and its end (`\n`, `\r\n`, or nothing at the end of the file).
pub(super) fn split_line_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end_length = if line.ends_with(b"\r\n") {
        2
    } else if line.ends_with(b"\n") {
        1
    } else {
        0
    };
    line.split_at(line.len() - end_length)
}

/// Reads line by line; a byte order mark at the start is skipped.
pub(super) struct LineReader {
    reader: BufReader<Box<dyn Read + Send>>,
    max_bytes: usize,
    read: u64,
}

impl LineReader {
    /// Lines longer than `max_bytes` are cut there.
    pub(super) fn new(reader: Box<dyn Read + Send>, max_bytes: usize) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), max_bytes: max_bytes.max(1), read: 0 }
    }

    /// Longest line that is kept whole.
    pub(super) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut is_too_long = false;
        let mut has_bytes = false;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            has_bytes = true;
            let line_end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = line_end.map_or(chunk.len(), |position| position + 1);
            let room = self.max_bytes - bytes.len();
            is_too_long |= taken > room;
            bytes.extend_from_slice(&chunk[..taken.min(room)]);
            self.reader.consume(taken);
            if line_end.is_some() {
                break;
            }
        }
        if !has_bytes {
            return Ok(None);
        }
        self.read += 1;
        if self.read == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(Line { number: self.read, bytes, is_too_long }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8], max_bytes: usize) -> Vec<Line> {
        let mut reader = LineReader::new(Box::new(io::Cursor::new(bytes.to_vec())), max_bytes);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().expect("memory does not fail") {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn lines_are_numbered_and_long_ones_cut() {
        let found = lines(b"\xef\xbb\xbfab\r\n\nabcdefgh\nxy", 5);
        let shown: Vec<_> = found
            .iter()
            .map(|line| (line.number, line.content(), line.is_too_long, line.is_blank()))
            .collect();
        let expected: Vec<(u64, &[u8], bool, bool)> = vec![
            (1, b"ab", true, false),
            (2, b"", false, true),
            (3, b"abcde", true, false),
            (4, b"xy", false, false),
        ];
        // The mark counts towards the limit of the first line: 7 bytes are more than 5.
        assert_eq!(shown.len(), expected.len());
        assert_eq!(shown[1..], expected[1..]);
        assert!(shown[0].2);
        assert_eq!(lines(b"\xef\xbb\xbfab\n", 9)[0].content(), b"ab");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_exceeds_the_limit(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            max_bytes in 1usize..40,
        ) {
            prop_assume!(!bytes.starts_with(BYTE_ORDER_MARK));
            let found = lines(&bytes, max_bytes);
            let mut expected = bytes.split_inclusive(|byte| *byte == b'\n');
            for line in &found {
                let whole = expected.next().expect("as many lines");
                prop_assert_eq!(line.is_too_long, whole.len() > max_bytes);
                prop_assert_eq!(&line.bytes[..], &whole[..whole.len().min(max_bytes)]);
            }
            prop_assert!(expected.next().is_none());
        }
    }
}
