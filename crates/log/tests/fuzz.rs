//! Damaged folders of an embedded log: opened as what they still hold, or refused with a code; never a panic, never more
//! memory than the files account for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use settle_fuzz::{Meter, config, damaged};
use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{EmbeddedLog, Error, Header, Log, OutputRecord, PollLimit, TopicName, TopicPartition};

#[global_allocator]
static METER: Meter = Meter;

/// Buffers that a log has whatever it holds, and copies of what it reads.
fn allowance(length: usize) -> usize {
    (16 << 20) + 64 * length
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions { sync: SyncMode::Never, segment_bytes: 600, ..EmbeddedOptions::default() }
}

fn write(directory: &Path, topics: &[&str], transactions: u32) {
    let log = EmbeddedLog::open(directory, options()).expect("a new log");
    for topic in topics {
        log.create_topic(topic, 3).expect("a topic");
    }
    let mut producer = log.producer("writer").expect("a producer");
    for number in 0..transactions {
        producer.begin().expect("it begins");
        for topic in topics {
            let topic: TopicName = (*topic).into();
            let value = vec![b'v'; 20 * usize::try_from(number % 5).expect("small")];
            producer
                .send(&OutputRecord {
                    topic: &topic,
                    partition: number % 3,
                    timestamp_ms: 1_700_000_000_000 + i64::from(number),
                    key: Some(b"key"),
                    value: (number % 4 != 0).then_some(&value),
                    headers: &[Header::new("name", &b"value"[..])],
                })
                .expect("it is taken");
        }
        producer.commit().expect("it is committed");
    }
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    found.sort();
    found
}

fn read_all(log: &EmbeddedLog) -> Result<usize, Error> {
    let limit = PollLimit { records: 50, bytes: 1 << 16 };
    let mut reader = log.reader()?;
    let mut count = 0;
    for topic in log.topics()? {
        for number in 0..topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), number);
            let mut next = reader.start_offset(&partition)?;
            while next < reader.end_offset(&partition)? {
                let batch = reader.read(&partition, next, limit, Duration::ZERO)?;
                assert!(batch.next_offset > next, "reading gets on");
                count += batch.records.len();
                next = batch.next_offset;
            }
        }
    }
    Ok(count)
}

/// Records that are left, read by both ways of opening; none if the log is refused.
fn read_both_ways(directory: &Path) -> Option<usize> {
    let refused = |error: &Error| assert!(error.code().starts_with("STL-01") && !error.hint().is_empty());
    let by_reader = EmbeddedLog::open_read_only(directory).and_then(|log| read_all(&log));
    let by_writer = EmbeddedLog::open(directory, options()).and_then(|log| read_all(&log));
    let _ = by_reader.as_ref().inspect_err(|error| refused(error));
    let _ = by_writer.as_ref().inspect_err(|error| refused(error));
    assert_eq!(by_reader.as_ref().ok(), by_writer.as_ref().ok(), "{by_reader:?}, {by_writer:?}");
    by_writer.ok()
}

/// The folder of a valid log: its segments in order.
fn valid_segments() -> Vec<(PathBuf, Vec<u8>)> {
    let directory = tempfile::tempdir().expect("a folder");
    write(directory.path(), &["one", "other"], 12);
    let read =
        |path: PathBuf| (PathBuf::from(path.file_name().expect("a name")), fs::read(&path).expect("bytes"));
    segments(directory.path()).into_iter().map(read).collect()
}

fn lay_out(directory: &Path, format: &[u8], files: &[(PathBuf, Vec<u8>)]) -> usize {
    fs::write(directory.join("FORMAT"), format).expect("a file");
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).expect("a file");
    }
    format.len() + files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
}

const FORMAT: &[u8] = b"settle-embedded-log 1\n";

#[test]
fn the_log_that_is_damaged_is_valid_and_has_several_segments() {
    let files = valid_segments();
    assert!(files.len() > 2, "{} segments", files.len());
    let directory = tempfile::tempdir().expect("a folder");
    lay_out(directory.path(), FORMAT, &files);
    assert_eq!(read_both_ways(directory.path()), Some(24));
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn one_damaged_segment(
        which in any::<prop::sample::Index>(),
        bytes in damaged(valid_segments().into_iter().map(|(_, bytes)| bytes).collect()),
    ) {
        let mut files = valid_segments_once();
        let which = which.index(files.len());
        files[which].1 = bytes;
        let directory = tempfile::tempdir().expect("a folder");
        let length = lay_out(directory.path(), FORMAT, &files);
        let (left, peak) = METER.peak(|| read_both_ways(directory.path()));
        prop_assert!(peak <= allowance(length), "{peak} bytes for {length}");
        prop_assert!(left.is_none_or(|left| left <= 24), "{left:?} records of 24");
    }

    #[test]
    fn segments_that_are_missing_doubled_or_strangers(
        kept in proptest::collection::vec(any::<bool>(), 8),
        moved in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..2),
        format in prop_oneof![4 => Just(FORMAT.to_vec()), 1 => damaged(vec![FORMAT.to_vec()])],
    ) {
        let mut files = valid_segments_once();
        for (from, to) in moved {
            let bytes = from.get(&files).1.clone();
            let to = to.index(files.len());
            files[to].1 = bytes;
        }
        let files: Vec<_> =
            files.into_iter().enumerate().filter(|(at, _)| kept.get(*at).is_none_or(|kept| *kept)).map(|(_, file)| file).collect();
        let directory = tempfile::tempdir().expect("a folder");
        let length = lay_out(directory.path(), &format, &files);
        let (left, peak) = METER.peak(|| read_both_ways(directory.path()));
        prop_assert!(peak <= allowance(length), "{peak} bytes for {length}");
        prop_assert!(left.is_none_or(|left| left <= 24), "{left:?} records of 24");
    }
}

/// Made once: writing it takes longer than reading it.
fn valid_segments_once() -> Vec<(PathBuf, Vec<u8>)> {
    static FILES: std::sync::OnceLock<Vec<(PathBuf, Vec<u8>)>> = std::sync::OnceLock::new();
    FILES.get_or_init(valid_segments).clone()
}
