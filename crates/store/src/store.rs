//! The state on RocksDB.
//!
//! **One batch, one family, no write-ahead log.** Rows and progress are written together in one batch to one
//! column family, without a write-ahead log: the journal in the log is the write-ahead log. That is atomic,
//! and a crash leaves the state as it was after some earlier batch, because
//! - a batch goes into one memtable as a whole: RocksDB changes the memtable between batches only;
//! - memtables are flushed as a whole, and their tables enter the manifest in the order in which the memtables
//!   were filled;
//! - so the manifest names a prefix of the batches, and the progress found there is that of the last of them.
//!
//! Replaying the journal from that progress gives the state that was lost (I10). With several column families
//! each would have memtables of its own, and the same would need atomic flushes of all of them.
//!
//! Closing or dropping a store flushes it; a crash does not. How long a replay takes is bounded by the caller,
//! who flushes by time and by [`StateStore::unflushed_bytes`].

use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use rocksdb::{
    BottommostLevelCompaction, ColumnFamilyDescriptor, CompactOptions, DB, DEFAULT_COLUMN_FAMILY_NAME,
    Direction, IteratorMode, Options, ReadOptions, WriteBatch, properties,
};
use settle_engine::state_key::TableId;
use settle_engine::{Rows, StateKey, StateRow};
use settle_types::Timestamp;

use crate::collection::{Horizon, is_gone};
use crate::error::Error;
use crate::options::Resources;
use crate::progress::{Header, Identity, PROGRESS_KEY, Progress, assert_is_row, clock};
use crate::snapshot::Checkpoint;
use crate::state_store::{Dump, StateStore, missing_keys, range_of, visible_row};

/// The state of one stage and one partition, in a directory.
pub struct Store<R> {
    pub(crate) database: DB,
    directory: PathBuf,
    header: Header,
    progress: Option<Progress>,
    horizon: Horizon,
    /// A write failed: a later one would leave a gap between it and the journal.
    has_failed: bool,
    last_batch_bytes: usize,
    row: PhantomData<fn() -> R>,
}

impl<R: StateRow> Store<R> {
    /// Opens the store in this directory, and creates it if there is none.
    ///
    /// Fails with [`Error::WrongIdentity`] if it belongs to another stage or partition, and with an error that
    /// [`Error::is_cured_by_rebuild`] if another version wrote it or it is damaged: the caller decides whether
    /// to [`Store::destroy`] it.
    pub fn open(directory: &Path, resources: &Resources, identity: Identity<'_>) -> Result<Self, Error> {
        let horizon = Horizon::new();
        Self::open_with(directory, resources.database_options(&horizon), horizon, identity)
    }

    pub(crate) fn open_with(
        directory: &Path,
        options: Options,
        horizon: Horizon,
        identity: Identity<'_>,
    ) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(|error| Error::from_io("create", directory, &error))?;
        let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let database = DB::open_cf_descriptors(&options, directory, [family])
            .map_err(|error| Error::from_rocksdb("open", directory, error))?;
        let mut store = Self {
            database,
            directory: directory.to_path_buf(),
            header: Header::new(identity),
            progress: None,
            horizon,
            has_failed: false,
            last_batch_bytes: 0,
            row: PhantomData,
        };
        store.progress = store.read_progress()?;
        // What is found on opening was flushed.
        store.horizon.raise(clock(store.progress.as_ref()));
        tracing::debug!(
            directory = %directory.display(),
            journal_next_offset = store.progress.as_ref().map(|progress| progress.journal_next_offset),
            "opened a store"
        );
        Ok(store)
    }

    /// Flushes and closes the store.
    pub fn close(mut self) -> Result<(), Error> {
        self.flush()
    }

    /// Removes the store in this directory: the files of RocksDB and, if nothing else is there, the directory.
    ///
    /// Fails if the store is open. No store there is no error.
    pub fn destroy(directory: &Path) -> Result<(), Error> {
        if !directory.exists() {
            return Ok(());
        }
        DB::destroy(&Options::default(), directory)
            .map_err(|error| Error::from_rocksdb("remove", directory, error))?;
        // It may hold files that are not ours: those stay, and the directory with them.
        let _ = fs::remove_dir(directory);
        Ok(())
    }

    fn read_progress(&self) -> Result<Option<Progress>, Error> {
        let bytes = self.database.get_pinned(PROGRESS_KEY).map_err(|error| self.error("read", error))?;
        if let Some(bytes) = bytes {
            return self.header.decode(&self.directory, &bytes).map(Some);
        }
        let first = self.database.iterator(IteratorMode::Start).next();
        match first.transpose().map_err(|error| self.error("read", error))? {
            None => Ok(None),
            Some(_) => Err(Error::Corrupt {
                directory: self.directory.clone(),
                detail: "it holds rows but no progress, or is no store of this program".to_owned(),
            }),
        }
    }

    fn now(&self) -> Timestamp {
        clock(self.progress.as_ref())
    }

    fn error(&self, operation: &'static str, error: rocksdb::Error) -> Error {
        Error::from_rocksdb(operation, &self.directory, error)
    }

    fn decode(&self, key: &StateKey, value: &[u8]) -> Result<Option<R>, Error> {
        visible_row(key, value, self.now()).map_err(|error| Error::from_value(&self.directory, error))
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
        let mut options = ReadOptions::default();
        if let Some(until) = until {
            options.set_iterate_upper_bound(until.as_bytes());
        }
        let start = IteratorMode::From(from.as_bytes(), Direction::Forward);
        for entry in self.database.iterator_opt(start, options) {
            let (key, value) = entry.map_err(|error| self.error("read", error))?;
            let key = StateKey::from_bytes(&key);
            if let Some(row) = self.decode(&key, &value)? {
                found.push((key, row));
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    fn encode_changes(&self, rows: &Rows<R>, progress: &Progress) -> WriteBatch {
        // As large as the one before and a quarter more: one that grows is copied again and again.
        let mut batch = WriteBatch::with_capacity_bytes(self.last_batch_bytes + self.last_batch_bytes / 4);
        let mut value = Vec::with_capacity(256);
        for (key, row) in rows.changes() {
            assert_is_row(key);
            match row {
                Some(row) => {
                    value.clear();
                    row.encode(&mut value);
                    batch.put(key.as_bytes(), &value);
                }
                None => batch.delete(key.as_bytes()),
            }
        }
        batch.put(PROGRESS_KEY, self.header.encode(progress));
        batch
    }

    fn number(&self, property: &properties::PropName) -> Result<u64, Error> {
        let value =
            self.database.property_int_value(property).map_err(|error| self.error("inspect", error))?;
        Ok(value.unwrap_or(0))
    }
}

impl<R: StateRow> StateStore<R> for Store<R> {
    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        let missing = missing_keys(keys, rows);
        if missing.is_empty() {
            return Ok(());
        }
        let family = self.database.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).expect("the family was opened");
        let sorted = missing.iter().map(|key| key.as_bytes());
        let values = self.database.batched_multi_get_cf(family, sorted, true);
        for (key, value) in missing.into_iter().zip(values) {
            assert_is_row(key);
            let value = value.map_err(|error| self.error("read", error))?;
            let row = value.map_or(Ok(None), |value| self.decode(key, &value))?;
            rows.fetched(key.clone(), row);
        }
        Ok(())
    }

    fn apply(&mut self, rows: &Rows<R>, progress: &Progress) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Failed { directory: self.directory.clone() });
        }
        self.header.assert_follows(self.progress.as_ref(), progress);
        let batch = self.encode_changes(rows, progress);
        self.last_batch_bytes = batch.size_in_bytes();
        if let Err(error) = self.database.write_without_wal(batch) {
            self.has_failed = true;
            return Err(self.error("write", error));
        }
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
        let mut options = ReadOptions::default();
        // A whole pass must not push out what decisions use.
        options.fill_cache(false);
        let entries = self.database.iterator_opt(IteratorMode::Start, options);
        let rows = entries.filter_map(move |entry| match entry {
            Ok((key, value)) if *key == PROGRESS_KEY || is_gone(&value, now) => None,
            Ok((key, value)) => Some(Ok((StateKey::from_bytes(&key), value.into_vec()))),
            Err(error) => Some(Err(self.error("read", error))),
        });
        Box::new(rows)
    }

    /// With `&mut self` nothing is applied meanwhile: what is flushed is the last applied progress.
    fn flush(&mut self) -> Result<(), Error> {
        self.database.flush().map_err(|error| self.error("flush", error))?;
        self.horizon.raise(self.now());
        Ok(())
    }

    fn unflushed_bytes(&self) -> Result<u64, Error> {
        let entries = self.number(properties::NUM_ENTRIES_ACTIVE_MEM_TABLE)?
            + self.number(properties::NUM_ENTRIES_IMM_MEM_TABLES)?;
        // An empty memtable has a size too.
        if entries == 0 { Ok(0) } else { self.number(properties::CUR_SIZE_ALL_MEM_TABLES) }
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        self.number(properties::TOTAL_SST_FILES_SIZE)
    }

    fn collect_expired(&mut self) -> Result<(), Error> {
        self.flush()?;
        let mut options = CompactOptions::default();
        // Without this the last level, where most rows are, would be left as it is.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.database.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn checkpoint(&mut self, into: &Path, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        if self.has_failed {
            return Err(Error::Failed { directory: self.directory.clone() });
        }
        self.flush()?;
        let Some(progress) = &self.progress else { return Ok(None) };
        Checkpoint::write(&self.database, into, self.header.identity(), progress, now).map(Some)
    }
}
