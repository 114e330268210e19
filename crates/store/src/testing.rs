//! What the tests of this crate share: a plain row, short ways to write keys, rows and progress.

use settle_engine::state_key::KeyBuilder;
use settle_engine::state_value::{Error as ValueError, decode_row, encode_row};
use settle_engine::{Meta, Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::{Identity, Progress, StateStore, Store};

pub(crate) const FOLD_VERSION: i32 = 1;
pub(crate) const IDENTITY: Identity<'static> =
    Identity { stage: "authorize", partition: 3, fold_version: FOLD_VERSION };

/// A row with nothing but a text and an expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestRow {
    pub(crate) expires_at: Timestamp,
    pub(crate) text: String,
}

impl StateRow for TestRow {
    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        encode_row(&(self.expires_at, &self.text), out);
    }

    fn decode_body(key: &StateKey, body: &[u8]) -> Result<Self, ValueError> {
        let (expires_at, text) = decode_row(key, body)?;
        Ok(Self { expires_at, text })
    }
}

pub(crate) fn row(expires_at_micros: i64, text: &str) -> TestRow {
    TestRow { expires_at: Timestamp::from_micros(expires_at_micros), text: text.to_owned() }
}

pub(crate) fn kept(text: &str) -> TestRow {
    row(i64::MAX, text)
}

pub(crate) fn value(row: &TestRow) -> Vec<u8> {
    let mut bytes = Vec::new();
    row.encode(&mut bytes);
    bytes
}

pub(crate) fn key(table: u8, text: &str) -> StateKey {
    KeyBuilder::new(table).text(text).finish()
}

/// Progress after `step` events, with the clock at `now_micros`.
pub(crate) fn progress(step: u32, now_micros: i64) -> Progress {
    let mut meta = Meta::new(3);
    meta.next_sequence = i64::from(step);
    meta.now = Timestamp::from_micros(now_micros);
    meta.positions.insert("payments.requested".to_owned(), i64::from(step) * 2);
    Progress {
        fold_version: FOLD_VERSION,
        journal_next_offset: u64::from(step),
        journal_topic_identity: String::new(),
        meta,
    }
}

/// Applies these changes: a row to put, none to remove.
pub(crate) fn apply(
    store: &mut dyn StateStore<TestRow>,
    changes: &[(StateKey, Option<TestRow>)],
    progress: &Progress,
) {
    let mut rows = Rows::default();
    for (key, row) in changes {
        match row {
            Some(row) => rows.put(key.clone(), row.clone()),
            None => rows.remove(key.clone()),
        }
    }
    store.apply(&rows, progress).expect("the store takes the changes");
}

/// What a store says that these keys hold.
pub(crate) fn read(store: &dyn StateStore<TestRow>, keys: &[StateKey]) -> Vec<Option<TestRow>> {
    let mut rows = Rows::default();
    store.load(keys, &mut rows).expect("the keys load");
    keys.iter().map(|key| rows.get(key).cloned()).collect()
}

/// Everything a store holds at `now`, with its progress.
pub(crate) fn contents(
    store: &dyn StateStore<TestRow>,
    now: Timestamp,
) -> (Option<Progress>, Vec<(StateKey, Vec<u8>)>) {
    let rows = store.dump(now).collect::<Result<_, _>>().expect("the dump ends");
    (store.progress().cloned(), rows)
}

pub(crate) type TestStore = Store<TestRow>;
