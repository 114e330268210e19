//! What opening makes of damaged directories: unfinished ends are cut off, everything else is named.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use settle_log::embedded::EmbeddedOptions;
use settle_log::{EmbeddedLog, Error, Log};

use crate::common::{NO_LIMIT, NO_WAIT, at, commit_values, fast, open, segments, values};

/// Three transactions in one segment. Returns where each frame ends: topic, first, second, third.
fn three_transactions(directory: &Path) -> (PathBuf, Vec<u64>) {
    let log = open(directory);
    let mut ends = Vec::new();
    log.create_topic("t", 2).unwrap();
    let segment = segments(directory).remove(0);
    let mut note_end = || ends.push(fs::metadata(&segment).unwrap().len());
    note_end();
    for value in ["first", "second", "third"] {
        commit_values(&log, "t", 0, &[value]);
        note_end();
    }
    (segment, ends)
}

fn open_code(directory: &Path) -> Option<&'static str> {
    let by_writer = EmbeddedLog::open(directory, fast()).err().map(|error| error.code());
    let by_reader = EmbeddedLog::open_read_only(directory).err().map(|error| error.code());
    assert_eq!(by_writer, by_reader);
    by_writer
}

#[test]
fn every_cut_of_the_last_frame_leaves_exactly_the_transactions_before_it() {
    let original = tempfile::tempdir().unwrap();
    let (segment, ends) = three_transactions(original.path());
    let bytes = fs::read(&segment).unwrap();
    let last_start = ends[ends.len() - 2];
    for length in last_start..=ends[ends.len() - 1] {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(original.path().join("FORMAT"), directory.path().join("FORMAT")).unwrap();
        let cut_segment = directory.path().join(segment.file_name().unwrap());
        fs::write(&cut_segment, &bytes[..usize::try_from(length).unwrap()]).unwrap();
        let is_whole = length == ends[ends.len() - 1];
        let expected = if is_whole { &["first", "second", "third"][..] } else { &["first", "second"] };

        let log = EmbeddedLog::open_read_only(directory.path()).unwrap();
        assert_eq!(values(&log, "t", 0), expected, "cut to {length}");
        drop(log);
        assert_eq!(fs::metadata(&cut_segment).unwrap().len(), length, "reading changes nothing");

        let log = EmbeddedLog::open(directory.path(), EmbeddedOptions::default()).unwrap();
        assert_eq!(values(&log, "t", 0), expected, "cut to {length}");
        let kept = if is_whole { length } else { last_start };
        assert_eq!(fs::metadata(&cut_segment).unwrap().len(), kept);
        commit_values(&log, "t", 0, &["next"]);
        drop(log);
        let expected: Vec<&str> = expected.iter().copied().chain(["next"]).collect();
        assert_eq!(values(&open(directory.path()), "t", 0), expected, "written on after a cut to {length}");
    }
}

#[test]
fn every_cut_of_the_first_frame_leaves_an_empty_log() {
    let directory = tempfile::tempdir().unwrap();
    let (segment, ends) = three_transactions(directory.path());
    let bytes = fs::read(&segment).unwrap();
    for length in 0..usize::try_from(ends[0]).unwrap() {
        fs::write(&segment, &bytes[..length]).unwrap();
        assert!(open(directory.path()).topics().unwrap().is_empty(), "cut to {length}");
    }
}

#[test]
fn a_flip_of_any_bit_of_a_committed_frame_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let (segment, ends) = three_transactions(directory.path());
    let bytes = fs::read(&segment).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&segment, &damaged).unwrap();
            let error = EmbeddedLog::open(directory.path(), fast()).err();
            let Some(Error::Corrupt { file, position, .. }) = &error else {
                panic!("a flip of bit {bit} of byte {at} was not noticed: {error:?}");
            };
            let flipped = u64::try_from(at).unwrap();
            let frame_end = ends.iter().find(|end| **end > flipped).unwrap();
            let frame_start = ends.iter().rev().find(|end| **end <= flipped).unwrap_or(&0);
            assert_eq!(file, &segment);
            assert!(frame_start <= position && position < frame_end, "byte {at} is reported at {position}");
        }
        assert_eq!(fs::metadata(&segment).unwrap().len(), u64::try_from(bytes.len()).unwrap());
    }
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(values(&open(directory.path()), "t", 0), ["first", "second", "third"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn overwritten_bytes_are_never_read_as_records(
        place: proptest::sample::Index,
        written in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (segment, _) = three_transactions(directory.path());
        let original = fs::read(&segment).unwrap();
        let at = place.index(original.len());
        let mut damaged = original.clone();
        let end = original.len().min(at + written.len());
        damaged[at..end].copy_from_slice(&written[..end - at]);
        fs::write(&segment, &damaged).unwrap();
        let expected = if damaged == original { None } else { Some("STL-0108") };
        prop_assert_eq!(open_code(directory.path()), expected);
    }
}

#[test]
fn bytes_after_the_last_frame_that_begin_no_frame_are_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let (segment, ends) = three_transactions(directory.path());
    let bytes = fs::read(&segment).unwrap();
    for garbage in [&[0][..], &[0; 100], b"STLX"] {
        fs::write(&segment, [&bytes[..], garbage].concat()).unwrap();
        let error = EmbeddedLog::open(directory.path(), fast()).err();
        let position = match &error {
            Some(Error::Corrupt { position, .. }) => *position,
            other => panic!("{garbage:?} was taken: {other:?}"),
        };
        assert_eq!(position, ends[ends.len() - 1]);
    }
}

/// Several segments of a few frames each.
fn several_segments(directory: &Path) -> Vec<PathBuf> {
    let options = EmbeddedOptions { segment_bytes: 250, ..fast() };
    let log = EmbeddedLog::open(directory, options).unwrap();
    log.create_topic("t", 1).unwrap();
    for number in 0..12 {
        commit_values(&log, "t", 0, &[&format!("value {number}")]);
    }
    let segments = segments(directory);
    assert!(segments.len() >= 4);
    segments
}

#[test]
fn a_missing_segment_is_corrupt_and_names_the_expected_file() {
    for missing in [0, 1] {
        let directory = tempfile::tempdir().unwrap();
        let segments = several_segments(directory.path());
        fs::remove_file(&segments[missing]).unwrap();
        let error = EmbeddedLog::open(directory.path(), fast()).err().unwrap();
        assert_eq!(error.code(), "STL-0108");
        let expected = segments[missing].file_name().unwrap().to_str().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_segment_before_the_last_must_be_whole() {
    let directory = tempfile::tempdir().unwrap();
    let segments = several_segments(directory.path());
    let bytes = fs::read(&segments[1]).unwrap();
    for length in [0, 10, bytes.len() - 1] {
        fs::write(&segments[1], &bytes[..length]).unwrap();
        assert_eq!(open_code(directory.path()), Some("STL-0108"), "cut to {length}");
        assert_eq!(fs::metadata(&segments[1]).unwrap().len(), u64::try_from(length).unwrap());
    }
}

#[test]
fn swapped_segments_are_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let segments = several_segments(directory.path());
    let (first, second) = (fs::read(&segments[1]).unwrap(), fs::read(&segments[2]).unwrap());
    fs::write(&segments[1], second).unwrap();
    fs::write(&segments[2], first).unwrap();
    assert_eq!(open_code(directory.path()), Some("STL-0108"));
}

#[test]
fn an_empty_last_segment_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    several_segments(directory.path());
    fs::write(directory.path().join(format!("segment-{:020}.log", 13)), []).unwrap();
    let log = EmbeddedLog::open(directory.path(), EmbeddedOptions { segment_bytes: 250, ..fast() }).unwrap();
    commit_values(&log, "t", 0, &["next"]);
    drop(log);
    assert_eq!(values(&open(directory.path()), "t", 0).len(), 13);
}

#[test]
fn another_format_version_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("FORMAT"), "settle-embedded-log 2\n").unwrap();
    let error = EmbeddedLog::open(directory.path(), fast()).err().unwrap();
    assert_eq!(error.code(), "STL-0107");
    assert!(
        error.to_string().ends_with("FORMAT has format version 2; this program reads version 1"),
        "{error}"
    );
}

#[test]
fn a_directory_that_is_no_log_is_not_touched_by_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent");
    for path in [directory.path(), absent.as_path()] {
        assert!(EmbeddedLog::open_read_only(path).is_err_and(|error| error.code() == "STL-0106"));
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn damage_after_opening_is_noticed_by_the_reader_of_that_chunk() {
    let directory = tempfile::tempdir().unwrap();
    let (segment, ends) = three_transactions(directory.path());
    let log = open(directory.path());
    let mut bytes = fs::read(&segment).unwrap();
    let inside_second = usize::try_from(ends[2]).unwrap() - 20;
    bytes[inside_second] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let mut reader = log.reader().unwrap();
    let one = settle_log::PollLimit { records: 1, bytes: usize::MAX };
    assert_eq!(reader.read(&at("t", 0), 0, one, NO_WAIT).unwrap().records.len(), 1);
    assert_eq!(reader.read(&at("t", 0), 1, one, NO_WAIT).unwrap_err().code(), "STL-0108");
    assert_eq!(reader.read(&at("t", 0), 2, NO_LIMIT, NO_WAIT).unwrap().records.len(), 1);

    fs::write(&segment, &bytes[..usize::try_from(ends[2]).unwrap()]).unwrap();
    let error = log.reader().unwrap().read(&at("t", 0), 2, NO_LIMIT, NO_WAIT).unwrap_err();
    assert!(error.to_string().contains("was cut while the log was open"), "{error}");
}
