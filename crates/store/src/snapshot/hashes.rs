//! Hashes of files that were hashed before.
//!
//! A table file never changes, and a checkpoint has the same file under the same name: name, size and time of
//! the last change tell that it is the same. What is wrong here costs an upload, never a snapshot: a file is
//! hashed again while it is sent.

use std::collections::HashMap;
use std::fs::Metadata;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::manifest::{ContentHash, SnapshotFile};

#[derive(Default)]
pub(super) struct HashCache {
    stores: Mutex<HashMap<StoreKey, HashMap<String, Entry>>>,
}

/// Stage and partition.
pub(super) type StoreKey = (String, u32);

struct Entry {
    size: u64,
    modified_at: Option<SystemTime>,
    hash: ContentHash,
}

impl HashCache {
    pub(super) fn find(&self, store: &StoreKey, name: &str, file: &Metadata) -> Option<ContentHash> {
        let stores = self.stores();
        let entry = stores.get(store)?.get(name)?;
        let modified_at = file.modified().ok()?;
        let is_same = entry.size == file.len() && entry.modified_at == Some(modified_at);
        is_same.then_some(entry.hash)
    }

    pub(super) fn remember(&self, store: &StoreKey, name: &str, file: &Metadata, hash: ContentHash) {
        let entry = Entry { size: file.len(), modified_at: file.modified().ok(), hash };
        self.stores().entry(store.clone()).or_default().insert(name.to_owned(), entry);
    }

    pub(super) fn forget(&self, store: &StoreKey, name: &str) {
        if let Some(files) = self.stores().get_mut(store) {
            files.remove(name);
        }
    }

    /// Drops what the store no longer has.
    pub(super) fn keep_only(&self, store: &StoreKey, files: &[SnapshotFile]) {
        if let Some(entries) = self.stores().get_mut(store) {
            entries.retain(|name, _| {
                files.binary_search_by(|file| file.name.as_str().cmp(name.as_str())).is_ok()
            });
        }
    }

    fn stores(&self) -> MutexGuard<'_, HashMap<StoreKey, HashMap<String, Entry>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_known_while_nothing_about_it_changes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("000012.sst");
        fs::write(&path, b"content").expect("the file is written");
        let first = fs::metadata(&path).expect("it is there");
        let (cache, store) = (HashCache::default(), ("authorize".to_owned(), 3));
        let hash = ContentHash::new(blake3::hash(b"content"));
        assert_eq!(cache.find(&store, "000012.sst", &first), None);
        cache.remember(&store, "000012.sst", &first, hash);
        assert_eq!(cache.find(&store, "000012.sst", &first), Some(hash));
        assert_eq!(cache.find(&store, "000013.sst", &first), None);
        assert_eq!(cache.find(&("settle".to_owned(), 3), "000012.sst", &first), None);
        assert_eq!(cache.find(&("authorize".to_owned(), 4), "000012.sst", &first), None);

        let file = File::options().write(true).open(&path).expect("it opens");
        let later = first.modified().expect("it has a time") + Duration::from_nanos(1_000_000);
        file.set_modified(later).expect("its time is set");
        let changed = fs::metadata(&path).expect("it is there");
        assert_eq!(cache.find(&store, "000012.sst", &changed), None);
        file.set_len(6).expect("it is cut");
        file.set_modified(first.modified().expect("it has a time")).expect("its time is set");
        let cut = fs::metadata(&path).expect("it is there");
        assert_eq!(cache.find(&store, "000012.sst", &cut), None);

        cache.keep_only(&store, &[]);
        assert_eq!(cache.find(&store, "000012.sst", &first), None);
    }
}
