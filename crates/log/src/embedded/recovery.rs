//! Opening: reads all frames, verifies them, and builds the index.
//!
//! Owns the one judgement that matters after a crash. A frame that the last segment ends inside of was
//! never finished, so never acknowledged: it is cut off, with a warning. Everything else that does not
//! verify is damage: opening fails and nothing is changed.
//!
//! Afterwards the last frame is made durable. A process that was killed between its write and its sync
//! leaves a complete frame that only the operating system's cache holds; from now on it counts, so it
//! must be on disk. It is written again before the sync, because after a failed sync the kernel may take
//! the lost pages for clean.

use std::io;
use std::sync::Arc;

use super::frame::{self, FrameHeader, HEADER_BYTES, HeaderFault, TRAILER_BYTES};
use super::index::Index;
use super::options::SyncMode;
use super::storage::{Access, SegmentFile, Storage, read_exact_at, write_all_at};
use crate::error::Error;

/// The last segment, where the next frame goes.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) first_sequence: u64,
    pub(super) file: Arc<dyn SegmentFile>,
    /// Where the last good frame ends.
    pub(super) end: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) index: Index,
    /// `None` when there is no segment yet.
    pub(super) active: Option<ActiveSegment>,
    pub(super) next_sequence: u64,
}

pub(super) fn recover(
    storage: &dyn Storage,
    segments: &[u64],
    access: Access,
    sync: SyncMode,
) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    for (number, &first_sequence) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        let path = || storage.segment_path(first_sequence);
        if first_sequence != recovered.next_sequence {
            let expected = storage.segment_path(recovered.next_sequence);
            let what = format!("a segment is missing before this one: {} was expected", expected.display());
            return Err(Error::Corrupt { file: path(), position: 0, what });
        }
        let file = storage.open_segment(first_sequence, access).map_err(|source| match access {
            Access::Write => Error::writing("open", &path(), source),
            Access::Read => Error::reading("open", &path(), source),
        })?;
        let length = file.length().map_err(|source| Error::reading("read", &path(), source))?;
        let mut scan =
            Scan { storage, first_sequence, file, length, position: 0, last_frame: 0, body: Vec::new() };
        let found = scan.frames(&mut recovered)?;
        if found == ScanEnd::Torn {
            scan.handle_torn_tail(is_last, access)?;
        }
        if is_last && access == Access::Write && sync == SyncMode::Commit {
            scan.make_last_frame_durable()?;
        }
        recovered.active = Some(ActiveSegment { first_sequence, file: scan.file, end: scan.position });
    }
    Ok(recovered)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanEnd {
    Clean,
    Torn,
}

/// One segment being read.
struct Scan<'a> {
    storage: &'a dyn Storage,
    first_sequence: u64,
    file: Arc<dyn SegmentFile>,
    length: u64,
    /// Where the next frame starts.
    position: u64,
    /// Where the last good frame started.
    last_frame: u64,
    body: Vec<u8>,
}

const HEADER_LENGTH: u64 = HEADER_BYTES as u64;
const TRAILER_LENGTH: u64 = TRAILER_BYTES as u64;

impl Scan<'_> {
    /// Applies all complete frames to the index.
    fn frames(&mut self, recovered: &mut Recovered) -> Result<ScanEnd, Error> {
        loop {
            let rest = self.length - self.position;
            if rest == 0 {
                return Ok(ScanEnd::Clean);
            }
            let Some(header) = self.read_header(rest)? else {
                return Ok(ScanEnd::Torn);
            };
            if header.sequence != recovered.next_sequence {
                let expected = recovered.next_sequence;
                let what = format!("transaction {} follows where {expected} was expected", header.sequence);
                return Err(self.corrupt(self.position, what));
            }
            let frame_length = HEADER_LENGTH + u64::from(header.body_length) + TRAILER_LENGTH;
            if frame_length > rest {
                return Ok(ScanEnd::Torn);
            }
            self.read_body(header)?;
            let body_position = self.position + HEADER_LENGTH;
            let applied = frame::decode_body(&self.body)
                .and_then(|body| recovered.index.apply(&body, self.first_sequence, body_position));
            if let Err(fault) = applied {
                let at = u64::try_from(fault.at).expect("a slice in memory is shorter than 2^64");
                return Err(self.corrupt(body_position + at, fault.what));
            }
            self.last_frame = self.position;
            self.position += frame_length;
            recovered.next_sequence += 1;
        }
    }

    /// The header at the present position; `None` when the file ends inside it.
    fn read_header(&self, rest: u64) -> Result<Option<FrameHeader>, Error> {
        let mut header = [0; HEADER_BYTES];
        if rest < HEADER_LENGTH {
            let part = usize::try_from(rest).expect("shorter than a header");
            self.read(&mut header[..part], self.position)?;
            if !frame::may_begin_header(&header[..part]) {
                return Err(self.corrupt(self.position, wrong_magic()));
            }
            return Ok(None);
        }
        self.read(&mut header, self.position)?;
        let what = match frame::decode_header(&header) {
            Ok(header) => return Ok(Some(header)),
            Err(HeaderFault::Magic) => wrong_magic(),
            Err(HeaderFault::Checksum) => "the checksum of a frame's header does not verify".to_owned(),
            Err(HeaderFault::Reserved) => "reserved bytes of a frame's header are not 0".to_owned(),
            Err(HeaderFault::Version(found)) => {
                let path = self.storage.segment_path(self.first_sequence);
                let found = format!("{found} (of the frame at byte {})", self.position);
                return Err(Error::UnsupportedFormat { path, found, supported: frame::VERSION });
            }
        };
        Err(self.corrupt(self.position, what))
    }

    /// Reads the body, which the file is long enough for, and verifies it.
    fn read_body(&mut self, header: FrameHeader) -> Result<(), Error> {
        let body_length =
            usize::try_from(header.body_length).expect("a 32-bit length fits the address space");
        let mut body = std::mem::take(&mut self.body);
        body.resize(body_length + TRAILER_BYTES, 0);
        self.read(&mut body, self.position + HEADER_LENGTH)?;
        let (_, trailer) = body.split_last_chunk::<TRAILER_BYTES>().expect("resized to hold a trailer");
        let expected = u32::from_le_bytes(*trailer);
        body.truncate(body_length);
        let found = crc32c::crc32c(&body);
        self.body = body;
        if found != expected {
            let what = format!(
                "the checksum of transaction {} is {found:08x}, expected {expected:08x}",
                header.sequence
            );
            return Err(self.corrupt(self.position, what));
        }
        Ok(())
    }

    fn handle_torn_tail(&mut self, is_last: bool, access: Access) -> Result<(), Error> {
        let path = self.storage.segment_path(self.first_sequence);
        if !is_last {
            let what = "the segment ends inside a frame, but a later segment exists".to_owned();
            return Err(self.corrupt(self.position, what));
        }
        let dropped_bytes = self.length - self.position;
        tracing::warn!(
            path = %path.display(), position = self.position, dropped_bytes,
            "the last transaction was not finished, so never acknowledged: it is dropped"
        );
        if access == Access::Write {
            self.file
                .truncate(self.position)
                .map_err(|source| Error::writing("cut the unfinished end of", &path, source))?;
        }
        Ok(())
    }

    fn make_last_frame_durable(&self) -> Result<(), Error> {
        let path = self.storage.segment_path(self.first_sequence);
        let failed = |source: io::Error| Error::writing("sync", &path, source);
        let length = usize::try_from(self.position - self.last_frame).expect("a frame was in memory before");
        let mut frame = vec![0; length];
        self.read(&mut frame, self.last_frame)?;
        write_all_at(self.file.as_ref(), &frame, self.last_frame).map_err(failed)?;
        self.file.sync().map_err(failed)?;
        self.storage.sync_directory().map_err(failed)
    }

    fn read(&self, buffer: &mut [u8], position: u64) -> Result<(), Error> {
        read_exact_at(self.file.as_ref(), buffer, position)
            .map_err(|source| Error::reading("read", &self.storage.segment_path(self.first_sequence), source))
    }

    fn corrupt(&self, position: u64, what: String) -> Error {
        Error::Corrupt { file: self.storage.segment_path(self.first_sequence), position, what }
    }
}

fn wrong_magic() -> String {
    "no frame starts here: expected the bytes \"STLF\"".to_owned()
}
