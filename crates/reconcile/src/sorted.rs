//! Entries grouped by a hash, on disk: what a set of all keys in memory would do for small logs.
//!
//! Entries go into 256 buckets by the first byte of their hash; then one bucket at a time is read and sorted. Memory: one
//! 256th of all entries.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::spill::Spill;

/// The first half of a BLAKE3 hash.
pub(crate) type Hash = [u8; 16];

/// Hash of texts, each with its length.
pub(crate) fn hash_of(texts: &[&str]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    first_half(&hasher.finalize())
}

/// The first 16 bytes of a hash.
pub(crate) fn first_half(hash: &blake3::Hash) -> Hash {
    let (half, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *half
}

/// Entries that are read back by hash.
pub(crate) struct Sorted<T> {
    spill: Spill<u8>,
    buffer: Vec<u8>,
    entry: std::marker::PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + Ord> Sorted<T> {
    /// No entries.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        Ok(Self { spill: Spill::new(folder)?, buffer: Vec::new(), entry: std::marker::PhantomData })
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, hash: Hash, entry: &T) -> Result<(), Error> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&hash);
        let taken = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(entry, taken).expect("plain values encode into memory");
        let length = u32::try_from(self.buffer.len() - 20).expect("an entry is small");
        self.buffer[..4].copy_from_slice(&length.to_le_bytes());
        self.spill.append(&hash[0], &self.buffer)
    }

    /// Calls `each` for all entries of each hash, in their order.
    pub(crate) fn each_group(mut self, mut each: impl FnMut(Vec<T>)) -> Result<(), Error> {
        let buckets: Vec<u8> = self.spill.keys().copied().collect();
        for bucket in buckets {
            let mut reader = self.spill.take(&bucket)?;
            let mut entries: Vec<(Hash, T)> = Vec::new();
            while let Some(head) = reader.read(20)? {
                let (length, hash) = head.split_at(4);
                let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
                let hash: Hash = hash.try_into().expect("sixteen bytes");
                let length = usize::try_from(length).expect("an entry fits into memory");
                let body = reader.read(length)?.expect("a whole entry was written");
                entries.push((hash, postcard::from_bytes(body).expect("it was written by this program")));
            }
            entries.sort_unstable();
            let mut group: Vec<T> = Vec::new();
            let mut group_hash = None;
            for (hash, entry) in entries {
                if group_hash != Some(hash) && !group.is_empty() {
                    each(std::mem::take(&mut group));
                }
                group_hash = Some(hash);
                group.push(entry);
            }
            if !group.is_empty() {
                each(group);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_whole_and_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sorted = Sorted::<(u32, String)>::new(folder.path()).expect("a file");
        for number in (0..3_000_u32).rev() {
            let name = format!("key-{}", number % 500);
            sorted.add(hash_of(&[&name]), &(number, name)).expect("space");
        }
        let mut groups = 0;
        sorted
            .each_group(|group| {
                groups += 1;
                assert_eq!(group.len(), 6);
                assert!(group.is_sorted());
                assert!(group.iter().all(|(_, name)| *name == group[0].1));
            })
            .expect("readable");
        assert_eq!(groups, 500);
        assert_ne!(hash_of(&["ab", "c"]), hash_of(&["a", "bc"]));
    }
}
