//! Arbitrary bytes as segments: opening and reading may fail, but never panic.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::frame::{self, ChunkContents, FrameContents};
use super::{EmbeddedLog, EmbeddedOptions, SyncMode};
use crate::consumer::PollLimit;
use crate::error::Error;
use crate::log::Log;
use crate::record::{Header, OutputRecord, TopicPartition};

fn write_log(directory: &Path, segment: &[u8]) {
    fs::write(directory.join("FORMAT"), "settle-embedded-log 1\n").unwrap();
    fs::write(directory.join("segment-00000000000000000000.log"), segment).unwrap();
}

/// Opens the log both ways and reads all of it. Returns how many records were read, or the error.
fn open_and_read(directory: &Path) -> Result<usize, Error> {
    let by_reader = EmbeddedLog::open_read_only(directory).and_then(|log| read_all(&log));
    let options = EmbeddedOptions { sync: SyncMode::Never, ..EmbeddedOptions::default() };
    let by_writer = EmbeddedLog::open(directory, options).and_then(|log| read_all(&log));
    assert_eq!(by_reader.as_ref().ok(), by_writer.as_ref().ok(), "{by_reader:?} / {by_writer:?}");
    by_writer
}

fn read_all(log: &EmbeddedLog) -> Result<usize, Error> {
    let limit = PollLimit { records: 100, bytes: 1 << 20 };
    let mut reader = log.reader()?;
    let mut count = 0;
    for topic in log.topics()? {
        for number in 0..topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), number);
            let mut offset = 0;
            while offset < reader.end_offset(&partition)? {
                let batch = reader.read(&partition, offset, limit, Duration::ZERO)?;
                count += batch.records.len();
                assert!(!batch.records.is_empty(), "there are records before the end");
                offset = batch.next_offset;
            }
        }
    }
    Ok(count)
}

/// A frame with the right checksums around any body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = frame::encode_header(u32::try_from(body.len()).unwrap(), 0).to_vec();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    bytes
}

/// The body of a transaction that creates a topic, writes two records and a position.
fn valid_body() -> Vec<u8> {
    let topic = "topic".into();
    let headers = [Header::new("name", &b"value"[..])];
    let key = Some(&b"key"[..]);
    let mut records = Vec::new();
    for value in [Some(&b"value"[..]), None] {
        let record =
            OutputRecord { topic: &topic, partition: 1, timestamp_ms: 1, key, value, headers: &headers };
        super::record_codec::encode(&record, &mut records);
    }
    let partition = TopicPartition::new("topic", 0);
    let chunk = ChunkContents { topic: "topic", partition: 1, base_offset: 0, records: 2, bytes: &records };
    let contents = FrameContents {
        topics: vec![("topic", 2)],
        chunks: vec![chunk],
        positions: vec![("group", &partition, 3)],
    };
    let mut output = Vec::new();
    assert!(frame::encode(0, &contents, &mut output));
    output[frame::HEADER_BYTES..output.len() - frame::TRAILER_BYTES].to_vec()
}

/// Puts the right checksum before the records of the chunk, so that damage inside them is not noticed by
/// it. The chunk's place does not move as long as the lengths before it are intact.
fn reseal_chunk(body: &mut [u8]) {
    let Ok(decoded) = frame::decode_body(body) else {
        return;
    };
    let places: Vec<(usize, usize)> =
        decoded.chunks.iter().map(|chunk| (chunk.at, usize::try_from(chunk.length).unwrap())).collect();
    for (at, length) in places {
        let checksum = crc32c::crc32c(&body[at + 4..at + 4 + length]);
        body[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}

#[test]
fn the_body_that_is_damaged_below_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), &sealed(&valid_body()));
    assert_eq!(open_and_read(directory.path()).unwrap(), 2);
}

#[test]
fn a_chunk_that_states_another_number_of_records_is_corrupt() {
    let records_at = {
        let body = valid_body();
        let at = frame::decode_body(&body).unwrap().chunks[0].at;
        at - 8
    };
    for stated in [1_u32, 3, u32::MAX] {
        let mut body = valid_body();
        body[records_at..records_at + 4].copy_from_slice(&stated.to_le_bytes());
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), &sealed(&body));
        let read = open_and_read(directory.path()).map_err(|error| error.code());
        assert_eq!(read, Err("STL-0108"), "{stated} records");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_as_a_segment_never_panic(segment in proptest::collection::vec(any::<u8>(), 0..300)) {
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), &segment);
        let read = open_and_read(directory.path());
        prop_assert!(segment.is_empty() || read.is_err() || segment.starts_with(b"STLF") || segment.len() < 4);
    }

    #[test]
    fn arbitrary_bodies_in_a_sealed_frame_never_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), &sealed(&body));
        let _ = open_and_read(directory.path());
    }

    #[test]
    fn damaged_bodies_in_a_sealed_frame_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        with_chunk_checksum: bool,
    ) {
        let mut body = valid_body();
        for (index, byte) in changes {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if with_chunk_checksum {
            reseal_chunk(&mut body);
        }
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), &sealed(&body));
        let _ = open_and_read(directory.path());
    }
}
