//! The state that a re-decision needs: rows by key, kept by whoever can hold them.
//!
//! Owns the traits, and a state in memory for small logs and tests. Must not know how large a state may get: the command
//! line keeps it on disk.

use std::collections::BTreeMap;

use settle_engine::{Meta, Rows, StateKey, StateRow};

use crate::Error;

/// The state of one stage and one partition.
pub trait FoldState<R: StateRow> {
    /// Tells `rows` what is there for those of the keys that it does not know.
    ///
    /// # Errors
    /// [`Error::State`].
    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error>;

    /// Applies what `rows` changed. `meta` is the state beside the rows, `next_offset` that of the next journal record.
    ///
    /// # Errors
    /// [`Error::State`].
    fn apply(&mut self, rows: &Rows<R>, meta: &Meta, next_offset: u64) -> Result<(), Error>;

    /// Rows with `from <= key < until` in the order of the keys, at most `limit`: for the due table.
    ///
    /// # Errors
    /// [`Error::State`].
    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error>;
}

/// Makes empty states. One is open at a time; it may be forgotten when it is dropped.
pub trait StateFactory {
    /// An empty state for a partition of a stage.
    ///
    /// # Errors
    /// [`Error::State`].
    fn open<R: StateRow>(&self, stage: &'static str, partition: u32) -> Result<Box<dyn FoldState<R>>, Error>;
}

/// States in memory. They grow with the number of keys: for small logs and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemory;

impl StateFactory for InMemory {
    fn open<R: StateRow>(
        &self,
        _stage: &'static str,
        _partition: u32,
    ) -> Result<Box<dyn FoldState<R>>, Error> {
        Ok(Box::new(MemoryState { rows: BTreeMap::new() }))
    }
}

struct MemoryState<R> {
    rows: BTreeMap<StateKey, R>,
}

impl<R: StateRow> FoldState<R> for MemoryState<R> {
    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        for key in keys {
            rows.fetched(key.clone(), self.rows.get(key).cloned());
        }
        Ok(())
    }

    fn apply(&mut self, rows: &Rows<R>, _meta: &Meta, _next_offset: u64) -> Result<(), Error> {
        for (key, row) in rows.changes() {
            match row {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
        Ok(())
    }

    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        if until <= from {
            return Ok(Vec::new());
        }
        let rows = self.rows.range(from.clone()..until.clone()).take(limit);
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }
}
