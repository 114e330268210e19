//! The rows that a decision sees: those fetched from the store, and over them those of the open transaction.
//!
//! Rows that many commands share stay when a transaction was stored, as they are then in the store too.
//!
//! The shell fetches what `keys` names before `decide` runs, so a decision never waits for storage. Reading a
//! row that was not fetched is a bug of `keys` and panics: guessing "absent" could take a payment twice.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use crate::state_key::{DUE_TABLE, StateKey, TableId};

#[derive(Debug)]
struct Slot<R> {
    row: Option<R>,
    changed: bool,
}

type Slots<R> = HashMap<StateKey, Slot<R>, RandomState>;

/// Rows by key, with what the open transaction changed.
#[derive(Debug)]
pub struct Rows<R> {
    /// Of tables whose rows concern few commands each: forgotten when they were stored.
    own: Slots<R>,
    /// Of tables whose rows many commands share.
    shared: Slots<R>,
    shared_tables: &'static [TableId],
    shared_limit: usize,
    /// Changes to the due table, in order of time: true for a row that was put, false for one that was removed.
    due_changes: BTreeMap<StateKey, bool>,
    /// The earliest row of the due table that was put since the shell asked last.
    first_due_put: Option<StateKey>,
}

impl<R> Default for Rows<R> {
    fn default() -> Self {
        Self::sharing(&[], 0)
    }
}

impl<R> Rows<R> {
    /// Rows of these tables stay when they were stored, at most `limit` of them.
    pub fn sharing(tables: &'static [TableId], limit: usize) -> Self {
        Self {
            own: HashMap::default(),
            shared: HashMap::default(),
            shared_tables: tables,
            shared_limit: limit,
            due_changes: BTreeMap::new(),
            first_due_put: None,
        }
    }

    fn slots(&self, key: &StateKey) -> &Slots<R> {
        if self.shared_tables.contains(&key.table()) { &self.shared } else { &self.own }
    }

    fn slots_mut(&mut self, key: &StateKey) -> &mut Slots<R> {
        if self.shared_tables.contains(&key.table()) { &mut self.shared } else { &mut self.own }
    }
}

impl<R: Clone> Rows<R> {
    /// True once the row, or its absence, is known.
    pub fn is_known(&self, key: &StateKey) -> bool {
        self.slots(key).contains_key(key)
    }

    /// Adds the key to those that are to be fetched, unless its row is known.
    pub fn need(&self, key: &StateKey, missing: &mut Vec<StateKey>) {
        if !self.is_known(key) {
            missing.push(key.clone());
        }
    }

    /// Has `load` fetch what `name` adds to the missing keys, in stages, until it adds none: what was found may name more.
    ///
    /// # Errors
    /// Those of `load`.
    pub fn fetch<E>(
        &mut self,
        name: impl Fn(&Self, &mut Vec<StateKey>),
        mut load: impl FnMut(&[StateKey], &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut missing = Vec::new();
        loop {
            name(self, &mut missing);
            if missing.is_empty() {
                return Ok(());
            }
            load(&missing, self)?;
            missing.clear();
        }
    }

    /// The row, if there is one.
    ///
    /// Panics if the row was not fetched: `keys` has to name every row that `decide` and `evolve` read.
    pub fn get(&self, key: &StateKey) -> Option<&R> {
        self.slots(key).get(key).unwrap_or_else(|| not_fetched(key)).row.as_ref()
    }

    /// The row if it is known and there is one: for `keys`, which asks what has been found so far.
    pub fn found(&self, key: &StateKey) -> Option<&R> {
        self.slots(key).get(key).and_then(|slot| slot.row.as_ref())
    }

    /// Tells what the store holds. A row that is known already, perhaps changed, is left as it is.
    pub fn fetched(&mut self, key: StateKey, row: Option<R>) {
        self.slots_mut(&key).entry(key).or_insert(Slot { row, changed: false });
    }

    /// Changes a row where it stands, or its absence: to change it costs one look and no copy.
    ///
    /// Panics if the row was not fetched, as [`Self::get`], and for a row of the due table, which is put and removed.
    pub fn change<T>(&mut self, key: &StateKey, change: impl FnOnce(&mut Option<R>) -> T) -> T {
        assert_ne!(key.table(), DUE_TABLE, "a row of the due table is put and removed, not changed");
        let slot = self.slots_mut(key).get_mut(key).unwrap_or_else(|| not_fetched(key));
        slot.changed = true;
        change(&mut slot.row)
    }

    /// Puts a row.
    pub fn put(&mut self, key: StateKey, row: R) {
        self.set(key, Some(row));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: StateKey) {
        self.set(key, None);
    }

    fn set(&mut self, key: StateKey, row: Option<R>) {
        if key.table() == DUE_TABLE {
            self.due_changes.insert(key.clone(), row.is_some());
            let is_earliest = self.first_due_put.as_ref().is_none_or(|first| key < *first);
            if row.is_some() && is_earliest {
                self.first_due_put = Some(key.clone());
            }
        }
        self.slots_mut(&key).insert(key, Slot { row, changed: true });
    }

    /// What the open transaction changed in the due table, in order of time: key, and whether it is there now.
    pub fn due_changes(&self) -> &BTreeMap<StateKey, bool> {
        &self.due_changes
    }

    /// The earliest row of the due table that was put since the last call.
    pub fn take_first_due_put(&mut self) -> Option<StateKey> {
        self.first_due_put.take()
    }

    /// What the open transaction changed, in order of the keys.
    pub fn changes(&self) -> Vec<(&StateKey, Option<&R>)> {
        let mut changes: Vec<_> = self
            .own
            .iter()
            .chain(&self.shared)
            .filter(|(_, slot)| slot.changed)
            .map(|(key, slot)| (key, slot.row.as_ref()))
            .collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        changes
    }

    /// Rows held, changed or not: the shell bounds them.
    pub fn len(&self) -> usize {
        self.own.len() + self.shared.len()
    }

    /// True if nothing is held.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// The changes went to the store. Only shared rows stay; if they are more than the limit, none does, and those that are
    /// in use are fetched again.
    pub fn stored(&mut self) {
        self.own.clear();
        self.due_changes.clear();
        self.first_due_put = None;
        self.shared.retain(|_, slot| {
            slot.changed = false;
            slot.row.is_some()
        });
        if self.shared.len() > self.shared_limit {
            self.shared.clear();
        }
    }

    /// Forgets everything: when the transaction was aborted.
    pub fn clear(&mut self) {
        self.own.clear();
        self.shared.clear();
        self.due_changes.clear();
        self.first_due_put = None;
    }
}

#[cold]
fn not_fetched(key: &StateKey) -> ! {
    panic!("row {key:?} was read but not fetched: keys() must name it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_key::KeyBuilder;

    #[test]
    fn a_change_hides_what_the_store_holds() {
        let key = StateKey::config();
        let mut rows = Rows::default();
        rows.put(key.clone(), 2);
        rows.fetched(key.clone(), Some(1));
        assert_eq!(rows.get(&key), Some(&2));
        rows.remove(key.clone());
        assert_eq!(rows.get(&key), None);
        assert_eq!(rows.changes(), vec![(&key, None)]);
        rows.clear();
        assert!(!rows.is_known(&key));
    }

    #[test]
    fn what_was_stored_is_no_change_and_only_shared_tables_stay() {
        let key = |table: u8, text: &str| KeyBuilder::new(table).text(text).finish();
        let mut rows = Rows::sharing(&[2], 1);
        rows.put(key(2, "shared"), 1);
        rows.put(key(3, "own"), 1);
        rows.fetched(key(2, "absent"), None);
        rows.put(key(DUE_TABLE, "due"), 1);
        rows.stored();
        assert_eq!(rows.found(&key(2, "shared")), Some(&1));
        assert!(rows.changes().is_empty() && rows.due_changes().is_empty());
        assert_eq!((rows.len(), rows.take_first_due_put()), (1, None));
        assert_eq!(rows.change(&key(2, "shared"), |row| row.replace(2)), Some(1));
        assert_eq!(rows.changes(), vec![(&key(2, "shared"), Some(&2))]);
        rows.put(key(2, "another"), 1);
        rows.stored();
        assert!(rows.is_empty(), "there were more than the limit");
    }

    #[test]
    #[should_panic(expected = "was read but not fetched")]
    fn changing_what_was_not_fetched_is_a_bug() {
        Rows::<u8>::default().change(&StateKey::config(), Option::take);
    }

    #[test]
    #[should_panic(expected = "was read but not fetched")]
    fn reading_what_was_not_fetched_is_a_bug() {
        Rows::<u8>::default().get(&StateKey::config());
    }
}
