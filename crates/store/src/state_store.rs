//! What a stage needs of its state, whatever keeps it.

use std::path::Path;

use settle_engine::state_key::TableId;
use settle_engine::state_value;
use settle_engine::{Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::collection::is_gone;
use crate::error::Error;
use crate::progress::Progress;
use crate::snapshot::Checkpoint;

/// Rows with their keys, as encoded.
pub type Dump<'a> = Box<dyn Iterator<Item = Result<(StateKey, Vec<u8>), Error>> + 'a>;

/// The state of one stage and one partition.
///
/// A row whose expiry is at or before the clock of the last applied progress is not returned by any function,
/// whether it was collected or not: when a store collects is never seen.
pub trait StateStore<R: StateRow>: Send {
    /// How far the journal was applied; `None`: nothing was, the store is empty.
    fn progress(&self) -> Option<&Progress>;

    /// Tells `rows` what the store holds for those of the keys that it does not know.
    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error>;

    /// Applies what `rows` changed, and the progress, at once: never one without the other. Call it after the
    /// journal has the events (I1). After an error the store takes no more changes: open it again and replay.
    ///
    /// Panics if the progress is of another partition or fold version, or goes backwards.
    fn apply(&mut self, rows: &Rows<R>, progress: &Progress) -> Result<(), Error>;

    /// Rows with `from <= key < until` in the order of the keys, at most `limit`: for the due table.
    ///
    /// Rows that were handled and removed are passed over one by one until a compaction drops their
    /// tombstones: a caller that asks often starts at the last key that it handled, not at the table's start.
    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error>;

    /// Rows of a table from `start` (inclusive) in the order of the keys, at most `limit`. The next page starts
    /// at the [`StateKey::successor`] of the last key.
    fn scan(&self, table: TableId, start: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error>;

    /// All rows that have not expired at `now`, in the order of the keys, without the progress: two stores of
    /// the same journal give the same (I10).
    fn dump(&self, now: Timestamp) -> Dump<'_>;

    /// Makes all that was applied durable.
    fn flush(&mut self) -> Result<(), Error>;

    /// Bytes applied and not yet durable, about: what a crash makes the journal replay.
    fn unflushed_bytes(&self) -> Result<u64, Error>;

    /// Bytes of the store's files.
    fn size_bytes(&self) -> Result<u64, Error>;

    /// Flushes, then drops the rows that have expired, rather than when storage gets round to it.
    fn collect_expired(&mut self) -> Result<(), Error>;

    /// Flushes, and copies the files of the store to this directory, which must not be there. `now` is the wall
    /// clock, for the snapshot's record of it. None: nothing was applied yet, or the store has no files.
    ///
    /// Call it at a committed point only: what is copied is what was applied last (I1). Table files are not
    /// copied but linked if the directory is on the same file system.
    fn checkpoint(&mut self, into: &Path, now: Timestamp) -> Result<Option<Checkpoint>, Error>;
}

/// The row in an encoded value; none if it has expired at `now`.
pub(crate) fn visible_row<R: StateRow>(
    key: &StateKey,
    value: &[u8],
    now: Timestamp,
) -> Result<Option<R>, state_value::Error> {
    if is_gone(value, now) {
        return Ok(None);
    }
    R::decode(key, value).map(Some)
}

/// The part of a table from `start` on: first key, and the end (exclusive) unless it is the last table.
pub(crate) fn range_of(table: TableId, start: &StateKey) -> (StateKey, Option<StateKey>) {
    let first = StateKey::start_of(table).max(start.clone());
    let end = table.checked_add(1).map(StateKey::start_of);
    (first, end)
}

/// Keys that are not known yet, sorted, each once.
pub(crate) fn missing_keys<'a, R: StateRow>(keys: &'a [StateKey], rows: &Rows<R>) -> Vec<&'a StateKey> {
    let mut missing: Vec<&StateKey> = keys.iter().filter(|key| !rows.is_known(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    #[test]
    fn a_range_stays_within_its_table() {
        let cases = [
            (2, StateKey::start_of(2), StateKey::start_of(2), Some(StateKey::start_of(3))),
            (2, key(2, "b"), key(2, "b"), Some(StateKey::start_of(3))),
            (2, key(1, "b"), StateKey::start_of(2), Some(StateKey::start_of(3))),
            (2, key(5, "b"), key(5, "b"), Some(StateKey::start_of(3))),
            (0xff, StateKey::start_of(0xff), StateKey::start_of(0xff), None),
        ];
        for (table, start, first, end) in cases {
            assert_eq!(range_of(table, &start), (first, end), "table {table} from {start:?}");
        }
    }
}
