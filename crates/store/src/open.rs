//! Opens the store that the process's resources ask for: on RocksDB, or in memory for a simulation, which may also
//! watch what is written. Must not know what a row means.

use std::path::Path;
use std::sync::Arc;

use settle_engine::state_key::TableId;
use settle_engine::{Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::error::Error;
use crate::options::Resources;
use crate::progress::{Identity, Progress};
use crate::snapshot::Checkpoint;
use crate::state_store::{Dump, StateStore};
use crate::store::Store;

/// Is told of every write of a store, before and after: a simulation crashes there, and checks I1.
pub trait StoreObserver: Send + Sync {
    /// The store in this directory is about to apply changes up to this progress.
    fn applies(&self, directory: &Path, progress: &Progress);

    /// It has. True: it shall flush now by itself, as RocksDB does when a memtable is full.
    fn has_applied(&self, directory: &Path) -> bool;
}

/// Opens the store in this directory, and creates it if there is none: see [`Store::open`].
///
/// # Errors
/// As [`Store::open`].
pub fn open<R: StateRow>(
    directory: &Path,
    resources: &Resources,
    identity: Identity<'_>,
) -> Result<Box<dyn StateStore<R>>, Error> {
    let store: Box<dyn StateStore<R>> = match resources.memory_stores() {
        Some(stores) => Box::new(stores.open::<R>(directory, identity)?),
        None => Box::new(Store::<R>::open(directory, resources, identity)?),
    };
    Ok(match resources.observer() {
        Some(observer) => {
            Box::new(Observed { store, observer: Arc::clone(observer), directory: directory.into() })
        }
        None => store,
    })
}

/// Removes the store in this directory: see [`Store::destroy`].
///
/// # Errors
/// As [`Store::destroy`].
pub fn destroy<R: StateRow>(directory: &Path, resources: &Resources) -> Result<(), Error> {
    match resources.memory_stores() {
        Some(stores) => {
            stores.destroy(directory);
            Ok(())
        }
        None => Store::<R>::destroy(directory),
    }
}

/// A store whose writes are watched.
struct Observed<R> {
    store: Box<dyn StateStore<R>>,
    observer: Arc<dyn StoreObserver>,
    directory: Box<Path>,
}

impl<R: StateRow> StateStore<R> for Observed<R> {
    fn progress(&self) -> Option<&Progress> {
        self.store.progress()
    }

    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        self.store.load(keys, rows)
    }

    fn apply(&mut self, rows: &Rows<R>, progress: &Progress) -> Result<(), Error> {
        self.observer.applies(&self.directory, progress);
        self.store.apply(rows, progress)?;
        if self.observer.has_applied(&self.directory) {
            self.store.flush()?;
        }
        Ok(())
    }

    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.store.due(from, until, limit)
    }

    fn scan(&self, table: TableId, start: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.store.scan(table, start, limit)
    }

    fn dump(&self, now: Timestamp) -> Dump<'_> {
        self.store.dump(now)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.store.flush()
    }

    fn unflushed_bytes(&self) -> Result<u64, Error> {
        self.store.unflushed_bytes()
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        self.store.size_bytes()
    }

    fn collect_expired(&mut self) -> Result<(), Error> {
        self.store.collect_expired()
    }

    fn checkpoint(&mut self, into: &Path, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        self.store.checkpoint(into, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::MemoryStores;
    use crate::crash_tests::resources;
    use crate::testing::{IDENTITY, TestRow, apply, kept, key, progress};

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl StoreObserver for Notes {
        fn applies(&self, _directory: &Path, progress: &Progress) {
            self.0.lock().expect("no panic before").push(format!("to {}", progress.journal_next_offset));
        }
        fn has_applied(&self, directory: &Path) -> bool {
            self.0.lock().expect("no panic before").push(directory.display().to_string());
            true
        }
    }

    #[test]
    fn an_observer_is_told_before_and_after_and_may_ask_for_a_flush() {
        let notes = Arc::new(Notes::default());
        let observer: Arc<dyn StoreObserver> = Arc::<Notes>::clone(&notes);
        let resources = resources().in_memory(MemoryStores::default()).observed_by(observer);
        let mut store = open::<TestRow>(Path::new("p/3"), &resources, IDENTITY).expect("memory opens");
        apply(&mut *store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
        assert_eq!(store.unflushed_bytes().expect("memory counts"), 0);
        assert_eq!(*notes.0.lock().expect("no panic before"), ["to 1", "p/3"]);
    }
}
