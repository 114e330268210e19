//! A partition: records of transactions that are open, committed or aborted, and the markers that end them.
//!
//! Must not know who coordinates a transaction, nor what a record means.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::Header;

/// Identity of a producer in a partition.
pub(super) type ProducerId = u64;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its transaction is open.
    Open,
    /// It can be read.
    Committed,
    /// Nobody ever sees it.
    Aborted,
    /// A marker.
    Control,
}

impl Fate {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Control => "marker",
        }
    }
}

/// What a record holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<Header>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) fate: Fate,
    pub(super) producer: ProducerId,
    pub(super) content: Content,
}

/// One partition. The index of an entry is its offset.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) entries: Vec<Entry>,
    /// By producer: the first offset of its open transaction.
    open: BTreeMap<ProducerId, u64>,
    /// By producer: the highest epoch that was seen here.
    epochs: BTreeMap<ProducerId, u32>,
}

pub(super) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated partition fits memory")
}

impl Partition {
    /// The end, records of open transactions included.
    pub(super) fn end(&self) -> u64 {
        u64::try_from(self.entries.len()).expect("a length fits 64 bits")
    }

    /// The last stable offset: there the first open transaction begins, or nothing follows.
    pub(super) fn stable_end(&self) -> u64 {
        self.open.values().min().copied().unwrap_or_else(|| self.end())
    }

    /// Appends outside of any transaction.
    pub(super) fn append(&mut self, content: Content) -> u64 {
        let offset = self.end();
        self.entries.push(Entry { fate: Fate::Committed, producer: 0, content });
        offset
    }

    /// Appends to a producer's open transaction; none if a newer epoch of it was seen here.
    pub(super) fn append_open(&mut self, producer: ProducerId, epoch: u32, content: Content) -> Option<u64> {
        let newest = self.epochs.entry(producer).or_insert(epoch);
        if *newest > epoch {
            return None;
        }
        *newest = epoch;
        let offset = self.end();
        self.open.entry(producer).or_insert(offset);
        self.entries.push(Entry { fate: Fate::Open, producer, content });
        Some(offset)
    }

    /// Offsets of a producer's open transaction.
    pub(super) fn open_offsets(&self, producer: ProducerId) -> Vec<u64> {
        let Some(first) = self.open.get(&producer) else { return Vec::new() };
        let is_its = |offset: &u64| {
            let entry = &self.entries[index(*offset)];
            entry.producer == producer && entry.fate == Fate::Open
        };
        (*first..self.end()).filter(is_its).collect()
    }

    /// A marker ends a producer's transaction here.
    pub(super) fn mark(&mut self, producer: ProducerId, epoch: u32, is_commit: bool) {
        let fate = if is_commit { Fate::Committed } else { Fate::Aborted };
        for offset in self.open_offsets(producer) {
            self.entries[index(offset)].fate = fate;
        }
        self.open.remove(&producer);
        let newest = self.epochs.entry(producer).or_insert(epoch);
        *newest = (*newest).max(epoch);
        self.entries.push(Entry { fate: Fate::Control, producer, content: Content::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_holds_back_what_stands_behind_it() {
        let mut partition = Partition::default();
        partition.append(Content::default());
        assert_eq!(partition.append_open(7, 0, Content::default()), Some(1));
        assert_eq!(partition.append_open(8, 0, Content::default()), Some(2));
        assert_eq!((partition.stable_end(), partition.end()), (1, 3));
        partition.mark(8, 0, true);
        assert_eq!((partition.stable_end(), partition.end()), (1, 4));
        partition.mark(7, 1, false);
        assert_eq!((partition.stable_end(), partition.end()), (5, 5));
        let fates: Vec<Fate> = partition.entries.iter().map(|entry| entry.fate).collect();
        let expected = [Fate::Committed, Fate::Aborted, Fate::Committed, Fate::Control, Fate::Control];
        assert_eq!(fates, expected);
    }

    #[test]
    fn a_marker_of_a_newer_epoch_shuts_the_older_out() {
        let mut partition = Partition::default();
        assert_eq!(partition.append_open(7, 0, Content::default()), Some(0));
        partition.mark(7, 1, false);
        assert_eq!(partition.append_open(7, 0, Content::default()), None);
        assert_eq!(partition.append_open(7, 1, Content::default()), Some(2));
    }
}
