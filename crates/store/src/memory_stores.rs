//! The stores in memory of simulated processes: what they keep when a worker closes one, and what a crash leaves.
//!
//! Stands in for the file system below RocksDB. Must not know whose folders these are.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use settle_engine::state_key::TableId;
use settle_engine::{Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::error::Error;
use crate::memory::MemoryStore;
use crate::progress::{Identity, Progress};
use crate::snapshot::Checkpoint;
use crate::state_store::{Dump, StateStore};

/// The stores in memory of any number of simulated processes, by folder. Clones share.
#[derive(Clone, Default)]
pub struct MemoryStores {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    kept: BTreeMap<PathBuf, Box<dyn Any + Send>>,
    open: BTreeSet<PathBuf>,
    crashing: BTreeSet<PathBuf>,
}

impl MemoryStores {
    /// From here on a store below `folder` that goes away loses what was not flushed: its process is being killed.
    pub fn begin_crash(&self, folder: &Path) {
        self.lock().crashing.insert(folder.to_path_buf());
    }

    /// The process of this folder is gone.
    pub fn end_crash(&self, folder: &Path) {
        self.lock().crashing.remove(folder);
    }

    /// Loses all stores below `folder`: the disk is another one.
    pub fn wipe(&self, folder: &Path) {
        self.lock().kept.retain(|path, _| !path.starts_with(folder));
    }

    pub(crate) fn open<R: StateRow>(
        &self,
        directory: &Path,
        identity: Identity<'_>,
    ) -> Result<KeptStore<R>, Error> {
        let mut inner = self.lock();
        if !inner.open.insert(directory.to_path_buf()) {
            let detail = "it is open already".to_owned();
            return Err(Error::Locked { directory: directory.to_path_buf(), detail });
        }
        let kept = inner.kept.remove(directory).and_then(|kept| kept.downcast::<MemoryStore<R>>().ok());
        let store = kept.map_or_else(|| MemoryStore::new(identity), |kept| *kept);
        Ok(KeptStore { store: Some(store), directory: directory.to_path_buf(), stores: self.clone() })
    }

    pub(crate) fn destroy(&self, directory: &Path) {
        self.lock().kept.remove(directory);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store in memory that outlives its worker, as one on disk does.
pub(crate) struct KeptStore<R: StateRow> {
    /// There until it is dropped.
    store: Option<MemoryStore<R>>,
    directory: PathBuf,
    stores: MemoryStores,
}

impl<R: StateRow> KeptStore<R> {
    fn store(&self) -> &MemoryStore<R> {
        self.store.as_ref().expect("the store is there until it is dropped")
    }

    fn store_mut(&mut self) -> &mut MemoryStore<R> {
        self.store.as_mut().expect("the store is there until it is dropped")
    }
}

impl<R: StateRow> Drop for KeptStore<R> {
    fn drop(&mut self) {
        let Some(mut store) = self.store.take() else { return };
        let mut inner = self.stores.lock();
        if inner.crashing.iter().any(|folder| self.directory.starts_with(folder)) {
            store.crash();
        } else {
            // As RocksDB does when it is closed. Memory flushes without fail.
            let _ = store.flush();
        }
        inner.open.remove(&self.directory);
        inner.kept.insert(self.directory.clone(), Box::new(store));
    }
}

impl<R: StateRow> StateStore<R> for KeptStore<R> {
    fn progress(&self) -> Option<&Progress> {
        self.store().progress()
    }

    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        self.store().load(keys, rows)
    }

    fn apply(&mut self, rows: &Rows<R>, progress: &Progress) -> Result<(), Error> {
        self.store_mut().apply(rows, progress)
    }

    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.store().due(from, until, limit)
    }

    fn scan(&self, table: TableId, start: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.store().scan(table, start, limit)
    }

    fn dump(&self, now: Timestamp) -> Dump<'_> {
        self.store().dump(now)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.store_mut().flush()
    }

    fn unflushed_bytes(&self) -> Result<u64, Error> {
        self.store().unflushed_bytes()
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        self.store().size_bytes()
    }

    fn collect_expired(&mut self) -> Result<(), Error> {
        self.store_mut().collect_expired()
    }

    fn checkpoint(&mut self, into: &Path, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        self.store_mut().checkpoint(into, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{IDENTITY, TestRow, apply, contents, kept, key, progress};

    fn open(stores: &MemoryStores) -> KeptStore<TestRow> {
        stores.open(Path::new("process-0/authorize/3"), IDENTITY).expect("nobody has it open")
    }

    #[test]
    fn what_was_closed_is_found_again_and_a_crash_loses_what_was_not_flushed() {
        let stores = MemoryStores::default();
        let mut store = open(&stores);
        apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
        drop(store);

        let mut store = open(&stores);
        assert_eq!(store.progress(), Some(&progress(1, 10)));
        apply(&mut store, &[(key(2, "b"), Some(kept("1")))], &progress(2, 20));
        stores.begin_crash(Path::new("process-0"));
        drop(store);
        stores.end_crash(Path::new("process-0"));

        let store = open(&stores);
        assert_eq!(store.progress(), Some(&progress(1, 10)));
        assert_eq!(contents(&store, Timestamp::MIN).1.len(), 1);
        drop(store);
        stores.wipe(Path::new("process-0"));
        assert_eq!(open(&stores).progress(), None);
    }

    #[test]
    fn a_store_is_open_once() {
        let stores = MemoryStores::default();
        let _open = open(&stores);
        let again = stores.open::<TestRow>(Path::new("process-0/authorize/3"), IDENTITY);
        assert_eq!(again.err().map(|error| error.code()), Some("STL-0201"));
    }
}
