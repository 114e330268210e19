//! The progress row: how far the journal was folded into the rows, and whose store this is.
//!
//! It lies in the same column family as the rows, in a table of its own, and is written in the same batch.
//! A store without it is empty: there is no batch of rows without progress.
//!
//! `version: u8 | postcard header | postcard body`. The header stands in front so that a store of another
//! version or of another owner is recognised before its body has to decode.

use std::path::Path;

use serde::{Deserialize, Serialize};
use settle_engine::state_key::TableId;
use settle_engine::state_value::VALUE_VERSION;
use settle_engine::{Meta, StateKey};
use settle_types::Timestamp;

use crate::error::Error;

/// Version of the encoding of the progress row. Raise it when [`Meta`] or [`Progress`] change.
pub const PROGRESS_VERSION: u8 = 1;

/// The table of the progress row; a stage has none with this id.
pub(crate) const PROGRESS_TABLE: TableId = 0x00;
/// The key of the progress row.
pub(crate) const PROGRESS_KEY: [u8; 1] = [PROGRESS_TABLE];

/// Whose state a store holds, and which fold built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Name of the stage.
    pub stage: &'a str,
    /// Number of the partition.
    pub partition: u32,
    /// Version of the fold: `settle_engine::FOLD_VERSION`.
    pub fold_version: i32,
}

/// How far the journal was folded into the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Version of the fold that built the rows: the one that the store was opened with.
    pub fold_version: i32,
    /// Offset of the next journal record to fold.
    pub journal_next_offset: u64,
    /// What tells a re-created journal from the one that was folded; opaque here, empty if the log has none.
    pub journal_topic_identity: String,
    /// Sequence, clock, positions and ledger chain.
    pub meta: Meta,
}

/// An [`Identity`] as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    stage: String,
    partition: u32,
    fold_version: i32,
    value_version: u8,
}

#[derive(Serialize, Deserialize)]
struct Body {
    journal_next_offset: u64,
    journal_topic_identity: String,
    meta: Meta,
}

/// The clock of a store, before every instant while it is empty.
pub(crate) fn clock(progress: Option<&Progress>) -> Timestamp {
    progress.map_or(Timestamp::MIN, |progress| progress.meta.now)
}

/// Panics if the key is the store's own.
pub(crate) fn assert_is_row(key: &StateKey) {
    assert!(key.table() != PROGRESS_TABLE, "table {PROGRESS_TABLE:#04x} belongs to the store: {key:?}");
}

impl Header {
    pub(crate) fn new(identity: Identity<'_>) -> Self {
        Self {
            stage: identity.stage.to_owned(),
            partition: identity.partition,
            fold_version: identity.fold_version,
            value_version: VALUE_VERSION,
        }
    }

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity { stage: &self.stage, partition: self.partition, fold_version: self.fold_version }
    }

    /// Panics if the progress is of another fold or partition, or goes backwards: the journal or its replay
    /// would be damaged (I1, I11).
    pub(crate) fn assert_follows(&self, before: Option<&Progress>, next: &Progress) {
        assert_eq!(
            next.fold_version, self.fold_version,
            "a store is written by the fold that it was opened with"
        );
        assert_eq!(
            u32::try_from(next.meta.partition),
            Ok(self.partition),
            "I3: a store holds the state of one partition"
        );
        let Some(before) = before else { return };
        let (old, new) = (before.journal_next_offset, next.journal_next_offset);
        assert!(new >= old, "I1: the journal offset of a store never goes backwards: {new} after {old}");
        let (old, new) = (before.meta.next_sequence, next.meta.next_sequence);
        assert!(new >= old, "I11: the sequence of a store never goes backwards: {new} after {old}");
        let (old, new) = (before.meta.now, next.meta.now);
        assert!(new >= old, "the clock of a partition never goes backwards: {new} after {old}");
    }

    /// Progress as bytes, under this header.
    pub(crate) fn encode(&self, progress: &Progress) -> Vec<u8> {
        let body = Body {
            journal_next_offset: progress.journal_next_offset,
            journal_topic_identity: progress.journal_topic_identity.clone(),
            meta: progress.meta.clone(),
        };
        let bytes = postcard::to_extend(self, vec![PROGRESS_VERSION]);
        let bytes = bytes.and_then(|bytes| postcard::to_extend(&body, bytes));
        bytes.expect("progress of plain values encodes into memory")
    }

    /// Progress from bytes, if they are of this header's owner and versions.
    pub(crate) fn decode(&self, directory: &Path, bytes: &[u8]) -> Result<Progress, Error> {
        let corrupt = |what: &str| Error::Corrupt {
            directory: directory.to_path_buf(),
            detail: format!("the progress row does not decode: {what}"),
        };
        let Some((version, rest)) = bytes.split_first() else {
            return Err(corrupt("it has no bytes"));
        };
        check_version(directory, "progress format", i64::from(*version), i64::from(PROGRESS_VERSION))?;
        let (found, rest) =
            postcard::take_from_bytes::<Self>(rest).map_err(|error| corrupt(&error.to_string()))?;
        self.check_owner(directory, &found)?;
        let (body, rest) =
            postcard::take_from_bytes::<Body>(rest).map_err(|error| corrupt(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(corrupt("bytes follow its end"));
        }
        Ok(Progress {
            fold_version: found.fold_version,
            journal_next_offset: body.journal_next_offset,
            journal_topic_identity: body.journal_topic_identity,
            meta: body.meta,
        })
    }

    /// The owner first: a store in the wrong place must not be taken for one that a rebuild may wipe.
    fn check_owner(&self, directory: &Path, found: &Self) -> Result<(), Error> {
        if (&found.stage, found.partition) != (&self.stage, self.partition) {
            let name = |header: &Self| format!("stage {}, partition {}", header.stage, header.partition);
            return Err(Error::WrongIdentity {
                directory: directory.to_path_buf(),
                found: name(found),
                expected: name(self),
            });
        }
        let (found_fold, fold) = (i64::from(found.fold_version), i64::from(self.fold_version));
        check_version(directory, "fold version", found_fold, fold)?;
        let (found_value, value) = (i64::from(found.value_version), i64::from(self.value_version));
        check_version(directory, "row format", found_value, value)
    }
}

fn check_version(directory: &Path, what: &'static str, found: i64, expected: i64) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::VersionMismatch { directory: directory.to_path_buf(), what, found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{IDENTITY, progress};

    fn header() -> Header {
        Header::new(IDENTITY)
    }

    /// The bytes of version 1. If this fails, stores of released versions no longer open: raise the version.
    #[test]
    fn the_encoding_is_frozen() {
        let bytes = header().encode(&progress(7, 1_000));
        let expected = [
            &[1][..],
            b"\x09authorize\x03\x02\x01", // stage, partition 3, fold version 1 (zigzag), row format 1
            &[7, 0],                      // next offset, no topic identity
            &[6, 14],                     // partition 3, next sequence 7 (zigzag)
            &[0xd0, 0x0f],                // clock: 1,000 microseconds (zigzag)
            b"\x01\x12payments.requested\x1c", // one position: 14 (zigzag)
            &[0],                         // ledger: next sequence 0
            &[64],                        // ledger: a hash in hexadecimal
            &[b'0'; 64],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn progress_comes_back() {
        let written = Progress { journal_topic_identity: "id-1".to_owned(), ..progress(7, 1_000) };
        let bytes = header().encode(&written);
        assert_eq!(header().decode(Path::new("s"), &bytes).expect("it decodes"), written);
    }

    #[test]
    fn what_another_owner_or_version_wrote_is_refused() {
        let written = |identity: Identity<'_>| Header::new(identity).encode(&progress(7, 1_000));
        let own = written(IDENTITY);
        let with_first_byte = |byte: u8| [&[byte][..], &own[1..]].concat();
        let with_row_format =
            |value_version: u8| Header { value_version, ..header() }.encode(&progress(7, 1_000));
        let cases = [
            ("another stage", written(Identity { stage: "settle", ..IDENTITY }), "STL-0207"),
            ("another partition", written(Identity { partition: 4, ..IDENTITY }), "STL-0207"),
            ("both", written(Identity { partition: 4, fold_version: 2, ..IDENTITY }), "STL-0207"),
            ("a newer fold", written(Identity { fold_version: 2, ..IDENTITY }), "STL-0206"),
            ("an older fold", written(Identity { fold_version: 0, ..IDENTITY }), "STL-0206"),
            ("another progress format", with_first_byte(2), "STL-0206"),
            ("another row format", with_row_format(9), "STL-0206"),
            ("no bytes", Vec::new(), "STL-0202"),
            ("cut in the header", own[..5].to_vec(), "STL-0202"),
            ("cut in the body", own[..own.len() - 1].to_vec(), "STL-0202"),
            ("bytes after the end", [&own[..], &[0]].concat(), "STL-0202"),
        ];
        for (name, bytes, code) in cases {
            let error = header().decode(Path::new("s"), &bytes).expect_err(name);
            assert_eq!(error.code(), code, "{name}: {error}");
        }
    }

    #[test]
    #[should_panic(expected = "I1: the journal offset of a store never goes backwards")]
    fn progress_that_goes_backwards_is_a_bug() {
        header().assert_follows(Some(&progress(7, 1_000)), &progress(6, 1_000));
    }

    #[test]
    #[should_panic(expected = "the clock of a partition never goes backwards")]
    fn a_clock_that_goes_backwards_is_a_bug() {
        header().assert_follows(Some(&progress(7, 1_000)), &progress(8, 999));
    }

    #[test]
    #[should_panic(expected = "I3: a store holds the state of one partition")]
    fn progress_of_another_partition_is_a_bug() {
        let identity = Identity { partition: 4, ..IDENTITY };
        Header::new(identity).assert_follows(None, &progress(1, 1));
    }
}
