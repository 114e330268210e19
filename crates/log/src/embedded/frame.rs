//! The byte layout of a frame: one committed transaction.
//!
//! ```text
//! header, 24 bytes
//!    0  magic        "STLF"
//!    4  version      u16, 1
//!    6  reserved     u16, 0
//!    8  body length  u32
//!   12  sequence     u64, of the transaction: from 0, without a gap over all segments
//!   20  checksum     u32, CRC-32C of bytes 0 to 19
//! body
//!   topics created   u32 count, each: name, u32 partitions
//!   chunks           u32 count, each: topic name, u32 partition, u64 base offset, u32 records,
//!                    u32 length of the records, u32 CRC-32C of the records, the records
//!   positions        u32 count, each: group name, topic name, u32 partition, u64 next offset
//! trailer
//!   checksum         u32, CRC-32C of the body
//! ```
//! Integers are little-endian; a name is a u16 length and that many bytes of UTF-8. Records are laid out
//! as `record_codec` says. Topics are sorted by name, chunks by topic, partition and offset, positions by
//! group, topic and partition; a frame holds no time, process id or random number. So the same
//! transactions in the same order make the same bytes.
//!
//! The header has a checksum of its own so that the length can be trusted: only then does "the file ends
//! before the frame" prove that the frame was never finished. A chunk has one so that a reader, who reads
//! chunks alone, notices damage that came after the log was opened.
//!
//! Owns encoding and decoding frames. Must not know files, nor which offsets come next.

use super::codec::{DecodeFault, Input, put_length, put_text};
use crate::record::TopicPartition;

pub(super) const MAGIC: [u8; 4] = *b"STLF";
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 24;
pub(super) const TRAILER_BYTES: usize = 4;
const CHECKED_HEADER_BYTES: usize = HEADER_BYTES - 4;

/// Most partitions that a topic can have. It bounds what a damaged count could make us allocate.
pub(super) const MAX_PARTITIONS: u32 = 10_000;

/// What goes into a frame, sorted as the layout says.
#[derive(Debug, Default)]
pub(super) struct FrameContents<'a> {
    pub(super) topics: Vec<(&'a str, u32)>,
    pub(super) chunks: Vec<ChunkContents<'a>>,
    pub(super) positions: Vec<(&'a str, &'a TopicPartition, u64)>,
}

/// Records of one partition with consecutive offsets.
#[derive(Debug)]
pub(super) struct ChunkContents<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) base_offset: u64,
    pub(super) records: u32,
    pub(super) bytes: &'a [u8],
}

/// Replaces `output` by the frame. Returns false when the body is too long for the format.
pub(super) fn encode(sequence: u64, contents: &FrameContents<'_>, output: &mut Vec<u8>) -> bool {
    output.clear();
    output.resize(HEADER_BYTES, 0);
    put_length(output, contents.topics.len());
    for (name, partitions) in &contents.topics {
        put_text(output, name);
        output.extend_from_slice(&partitions.to_le_bytes());
    }
    put_length(output, contents.chunks.len());
    for chunk in &contents.chunks {
        put_text(output, chunk.topic);
        output.extend_from_slice(&chunk.partition.to_le_bytes());
        output.extend_from_slice(&chunk.base_offset.to_le_bytes());
        output.extend_from_slice(&chunk.records.to_le_bytes());
        put_length(output, chunk.bytes.len());
        output.extend_from_slice(&crc32c::crc32c(chunk.bytes).to_le_bytes());
        output.extend_from_slice(chunk.bytes);
    }
    put_length(output, contents.positions.len());
    for (group, partition, next_offset) in &contents.positions {
        put_text(output, group);
        put_text(output, &partition.topic);
        output.extend_from_slice(&partition.partition.to_le_bytes());
        output.extend_from_slice(&next_offset.to_le_bytes());
    }
    let body = &output[HEADER_BYTES..];
    let Ok(body_length) = u32::try_from(body.len()) else {
        return false;
    };
    let body_checksum = crc32c::crc32c(body);
    output.extend_from_slice(&body_checksum.to_le_bytes());
    output[..HEADER_BYTES].copy_from_slice(&encode_header(body_length, sequence));
    true
}

pub(super) fn encode_header(body_length: u32, sequence: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header[8..12].copy_from_slice(&body_length.to_le_bytes());
    header[12..20].copy_from_slice(&sequence.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..CHECKED_HEADER_BYTES]);
    header[CHECKED_HEADER_BYTES..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// A verified header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) body_length: u32,
    pub(super) sequence: u64,
}

/// Why a header is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Magic,
    Checksum,
    Version(u16),
    Reserved,
}

pub(super) fn decode_header(header: &[u8; HEADER_BYTES]) -> Result<FrameHeader, HeaderFault> {
    let [m0, m1, m2, m3, v0, v1, r0, r1, l0, l1, l2, l3, s0, s1, s2, s3, s4, s5, s6, s7, checksum @ ..] =
        *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(HeaderFault::Magic);
    }
    if crc32c::crc32c(&header[..CHECKED_HEADER_BYTES]) != u32::from_le_bytes(checksum) {
        return Err(HeaderFault::Checksum);
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version != VERSION {
        return Err(HeaderFault::Version(version));
    }
    if [r0, r1] != [0, 0] {
        return Err(HeaderFault::Reserved);
    }
    let body_length = u32::from_le_bytes([l0, l1, l2, l3]);
    let sequence = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    Ok(FrameHeader { body_length, sequence })
}

/// Whether `rest`, shorter than a header, can be the beginning of one.
pub(super) fn may_begin_header(rest: &[u8]) -> bool {
    let known = rest.len().min(MAGIC.len());
    rest[..known] == MAGIC[..known]
}

/// What a body holds: names borrowed, records only located.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DecodedBody<'a> {
    pub(super) topics: Vec<(&'a str, u32)>,
    pub(super) chunks: Vec<DecodedChunk<'a>>,
    pub(super) positions: Vec<DecodedPosition<'a>>,
}

/// A chunk of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecodedChunk<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) base_offset: u64,
    pub(super) records: u32,
    /// Position, from the start of the body, of the chunk's checksum; its records follow.
    pub(super) at: usize,
    /// Bytes of the records.
    pub(super) length: u32,
}

/// A group's position in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecodedPosition<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) next_offset: u64,
    /// Position in the body, for messages.
    pub(super) at: usize,
}

pub(super) const CHUNK_CHECKSUM_BYTES: usize = 4;

/// Decodes a body whose checksum was verified. Nothing is reserved by a count that it states.
pub(super) fn decode_body(body: &[u8]) -> Result<DecodedBody<'_>, DecodeFault> {
    let mut input = Input::starting_at(body, 0);
    let mut decoded = DecodedBody::default();
    for _ in 0..input.u32("the number of topics")? {
        let name = input.text("the name of a topic")?;
        decoded.topics.push((name, input.u32("the number of partitions")?));
    }
    for _ in 0..input.u32("the number of chunks")? {
        decoded.chunks.push(decode_chunk(&mut input)?);
    }
    for _ in 0..input.u32("the number of positions")? {
        let at = input.at();
        decoded.positions.push(DecodedPosition {
            group: input.text("the name of a group")?,
            topic: input.text("the topic of a position")?,
            partition: input.u32("the partition of a position")?,
            next_offset: input.u64("a position")?,
            at,
        });
    }
    if !input.is_empty() {
        return Err(DecodeFault::new(input.at(), "the body is longer than its contents"));
    }
    Ok(decoded)
}

fn decode_chunk<'a>(input: &mut Input<'a>) -> Result<DecodedChunk<'a>, DecodeFault> {
    let topic = input.text("the topic of a chunk")?;
    let partition = input.u32("the partition of a chunk")?;
    let base_offset = input.u64("the base offset of a chunk")?;
    let records = input.u32("the number of records")?;
    let length = input.u32("the length of a chunk")?;
    let at = input.at();
    input.u32("the checksum of a chunk")?;
    let record_bytes = usize::try_from(length).expect("a 32-bit length fits the address space");
    input.take(record_bytes, "a chunk")?;
    Ok(DecodedChunk { topic, partition, base_offset, records, at, length })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Vec<u8> {
        let partition = TopicPartition::new("in", 2);
        let contents = FrameContents {
            topics: vec![("out", 4)],
            chunks: vec![ChunkContents {
                topic: "out",
                partition: 3,
                base_offset: 7,
                records: 1,
                bytes: b"record",
            }],
            positions: vec![("group", &partition, 9)],
        };
        let mut output = vec![1, 2, 3];
        assert!(encode(5, &contents, &mut output));
        output
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Pins format version 1: a change here needs a new version and code that still reads this one.
    #[test]
    fn the_layout_is_pinned() {
        let expected = concat!(
            "53544c46",
            "0100",
            "0000",
            "4f000000",
            "0500000000000000",
            "16e7aee0",
            "01000000",
            "03006f7574",
            "04000000",
            "01000000",
            "03006f7574",
            "03000000",
            "0700000000000000",
            "01000000",
            "06000000",
            "d4ac9679",
            "7265636f7264",
            "01000000",
            "050067726f7570",
            "0200696e",
            "02000000",
            "0900000000000000",
            "722e5a21",
        );
        assert_eq!(hex(&example()), expected);
    }

    #[test]
    fn a_frame_survives_encoding() {
        let frame = example();
        let header = decode_header(frame.first_chunk().unwrap()).unwrap();
        let body = &frame[HEADER_BYTES..frame.len() - TRAILER_BYTES];
        assert_eq!(header, FrameHeader { body_length: u32::try_from(body.len()).unwrap(), sequence: 5 });
        let decoded = decode_body(body).unwrap();
        assert_eq!(decoded.topics, [("out", 4)]);
        let chunk = &decoded.chunks[0];
        assert_eq!((chunk.topic, chunk.partition, chunk.base_offset, chunk.records), ("out", 3, 7, 1));
        assert_eq!(&body[chunk.at + CHUNK_CHECKSUM_BYTES..][..6], b"record");
        let position = &decoded.positions[0];
        let position = (position.group, position.topic, position.partition, position.next_offset);
        assert_eq!(position, ("group", "in", 2, 9));
    }

    #[test]
    fn each_fault_of_a_header_is_named() {
        let good: [u8; HEADER_BYTES] = encode_header(10, 3);
        let resealed = |at: usize, byte: u8| {
            let mut header = good;
            header[at] = byte;
            let checksum = crc32c::crc32c(&header[..20]);
            header[20..].copy_from_slice(&checksum.to_le_bytes());
            header
        };
        let mut flipped = good;
        flipped[9] ^= 1;
        let cases = [
            (resealed(0, b'X'), HeaderFault::Magic),
            (flipped, HeaderFault::Checksum),
            (resealed(4, 2), HeaderFault::Version(2)),
            (resealed(6, 1), HeaderFault::Reserved),
        ];
        for (header, fault) in cases {
            assert_eq!(decode_header(&header), Err(fault));
        }
    }

    #[test]
    fn a_longer_body_than_its_contents_is_a_fault() {
        let mut body = vec![0; 12];
        assert_eq!(decode_body(&body), Ok(DecodedBody::default()));
        body.push(0);
        assert_eq!(decode_body(&body).map_err(|fault| fault.at), Err(12));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_body(&body);
        }

        #[test]
        fn every_cut_of_a_body_is_a_fault(cut in 1_usize..70) {
            let frame = example();
            let body = &frame[HEADER_BYTES..frame.len() - TRAILER_BYTES];
            prop_assert!(decode_body(&body[..body.len() - cut]).is_err());
        }
    }
}
