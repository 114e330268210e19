//! The state in memory: the twin of the store on RocksDB, for tests and the simulator.
//!
//! It keeps the same encoded values, so that a format error shows here too, and it can crash: what was applied
//! since the last flush is then gone.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Bound;
use std::path::Path;

use settle_engine::state_key::TableId;
use settle_engine::{Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::collection::is_gone;
use crate::error::Error;
use crate::progress::{Header, Identity, Progress, assert_is_row, clock};
use crate::snapshot::Checkpoint;
use crate::state_store::{Dump, StateStore, missing_keys, range_of, visible_row};

/// Named in errors instead of a directory.
const PLACE: &str = "memory";

/// The state of one stage and one partition, in memory.
#[derive(Clone, Debug)]
pub struct MemoryStore<R> {
    header: Header,
    values: BTreeMap<StateKey, Vec<u8>>,
    progress: Option<Progress>,
    /// What the keys that changed since the last flush held before: none if they were absent.
    before: BTreeMap<StateKey, Option<Vec<u8>>>,
    flushed_progress: Option<Progress>,
    unflushed_bytes: u64,
    row: PhantomData<fn() -> R>,
}

impl<R: StateRow> MemoryStore<R> {
    /// An empty store.
    pub fn new(identity: Identity<'_>) -> Self {
        Self {
            header: Header::new(identity),
            values: BTreeMap::new(),
            progress: None,
            before: BTreeMap::new(),
            flushed_progress: None,
            unflushed_bytes: 0,
            row: PhantomData,
        }
    }

    /// Loses what was applied since the last flush, as the end of a process does.
    pub fn crash(&mut self) {
        for (key, value) in std::mem::take(&mut self.before) {
            match value {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
        self.progress = self.flushed_progress.clone();
        self.unflushed_bytes = 0;
    }

    fn now(&self) -> Timestamp {
        clock(self.progress.as_ref())
    }

    fn change(&mut self, key: &StateKey, row: Option<&R>) {
        assert_is_row(key);
        let old = match row {
            Some(row) => {
                let mut value = Vec::new();
                row.encode(&mut value);
                self.count(key.as_bytes().len() + value.len());
                self.values.insert(key.clone(), value)
            }
            None => {
                self.count(key.as_bytes().len());
                self.values.remove(key)
            }
        };
        self.before.entry(key.clone()).or_insert(old);
    }

    fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).expect("a length fits 64 bits");
        self.unflushed_bytes = self.unflushed_bytes.saturating_add(bytes);
    }

    fn decode(&self, key: &StateKey, value: &[u8]) -> Result<Option<R>, Error> {
        visible_row(key, value, self.now()).map_err(|error| Error::from_value(Path::new(PLACE), error))
    }

    fn rows_between(
        &self,
        from: &StateKey,
        until: Option<&StateKey>,
        limit: usize,
    ) -> Result<Vec<(StateKey, R)>, Error> {
        assert_is_row(from);
        let mut found = Vec::new();
        if limit == 0 || until.is_some_and(|until| until <= from) {
            return Ok(found);
        }
        let end = until.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.values.range((Bound::Included(from), end)) {
            if let Some(row) = self.decode(key, value)? {
                found.push((key.clone(), row));
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }
}

impl<R: StateRow> StateStore<R> for MemoryStore<R> {
    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        for key in missing_keys(keys, rows) {
            assert_is_row(key);
            let row = self.values.get(key).map_or(Ok(None), |value| self.decode(key, value))?;
            rows.fetched(key.clone(), row);
        }
        Ok(())
    }

    fn apply(&mut self, rows: &Rows<R>, progress: &Progress) -> Result<(), Error> {
        self.header.assert_follows(self.progress.as_ref(), progress);
        for (key, row) in rows.changes() {
            self.change(key, row);
        }
        self.count(self.header.encode(progress).len());
        self.progress = Some(progress.clone());
        Ok(())
    }

    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.rows_between(from, Some(until), limit)
    }

    fn scan(&self, table: TableId, start: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        let (first, end) = range_of(table, start);
        self.rows_between(&first, end.as_ref(), limit)
    }

    fn dump(&self, now: Timestamp) -> Dump<'_> {
        let now = now.max(self.now());
        let kept = self.values.iter().filter(move |(_, value)| !is_gone(value, now));
        Box::new(kept.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.before.clear();
        self.flushed_progress = self.progress.clone();
        self.unflushed_bytes = 0;
        Ok(())
    }

    fn unflushed_bytes(&self) -> Result<u64, Error> {
        Ok(self.unflushed_bytes)
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        // It has no files.
        Ok(0)
    }

    fn collect_expired(&mut self) -> Result<(), Error> {
        self.flush()?;
        let now = self.now();
        self.values.retain(|_, value| !is_gone(value, now));
        Ok(())
    }

    fn checkpoint(&mut self, _into: &Path, _now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{IDENTITY, TestRow, apply, contents, kept, key, progress, row};

    #[test]
    fn a_crash_goes_back_to_the_last_flush() {
        let mut store = MemoryStore::<TestRow>::new(IDENTITY);
        apply(
            &mut store,
            &[(key(2, "a"), Some(kept("1"))), (key(2, "b"), Some(kept("1")))],
            &progress(1, 10),
        );
        store.flush().expect("memory flushes");
        let flushed = contents(&store, Timestamp::MIN);
        apply(
            &mut store,
            &[(key(2, "a"), Some(kept("2"))), (key(2, "c"), Some(kept("1")))],
            &progress(2, 20),
        );
        apply(&mut store, &[(key(2, "a"), Some(kept("3"))), (key(2, "b"), None)], &progress(3, 30));
        assert!(store.unflushed_bytes().expect("memory counts") > 0);
        store.crash();
        assert_eq!(contents(&store, Timestamp::MIN), flushed);
        assert_eq!(store.unflushed_bytes().expect("memory counts"), 0);
    }

    #[test]
    fn collection_removes_what_has_expired() {
        let mut store = MemoryStore::<TestRow>::new(IDENTITY);
        apply(
            &mut store,
            &[(key(2, "a"), Some(row(20, "1"))), (key(2, "b"), Some(row(21, "1")))],
            &progress(1, 20),
        );
        assert_eq!(store.values.len(), 2);
        store.collect_expired().expect("memory collects");
        assert_eq!(store.values.keys().collect::<Vec<_>>(), [&key(2, "b")]);
    }
}
