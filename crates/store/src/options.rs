//! Options of RocksDB: one budget of memory and threads for all stores of a process.
//!
//! A process holds up to 48 stores (24 partitions of two stages). What grows with use is therefore shared:
//! blocks, indexes and filters in one cache, memtables under one manager, background work on one set of
//! threads. What each store has for itself is kept small.

use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Env, LogLevel, Options,
    WriteBufferManager,
};

use crate::collection::{ExpiryFilterFactory, Horizon};
use crate::error::Error;
use crate::memory_stores::MemoryStores;
use crate::open::StoreObserver;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SECONDS_PER_DAY: u64 = 86_400;

/// Limits for all stores of a process, unless they say that they are per store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Cache of blocks, indexes and filters, in bytes.
    pub block_cache_bytes: usize,
    /// Memtables of all stores together, in bytes. Above seven eighths of it, the store that writes flushes;
    /// stores that do not write keep theirs until they are flushed by time, so that bound is needed too.
    pub write_buffer_bytes: usize,
    /// Per store: a memtable of this size, in bytes, is flushed.
    pub memtable_bytes: usize,
    /// Per store: table files that are kept open; at least 20, fewer than RocksDB works with. A lookup that needs a closed one
    /// opens it and reads its index and filters.
    pub max_open_files: u16,
    /// Threads for compactions; one more flushes.
    pub compaction_threads: u16,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 48 * MIB,
            write_buffer_bytes: 64 * MIB,
            memtable_bytes: 8 * MIB,
            max_open_files: 200,
            compaction_threads: 2,
        }
    }
}

impl StoreOptions {
    /// RocksDB makes a smaller memtable this large, in bytes.
    pub const SMALLEST_MEMTABLE_BYTES: usize = 64 * KIB;

    fn check(&self) -> Result<(), Error> {
        let problem = if self.block_cache_bytes < MIB {
            format!("block_cache_bytes is {}: a store needs at least {MIB}", self.block_cache_bytes)
        } else if self.memtable_bytes < Self::SMALLEST_MEMTABLE_BYTES {
            format!(
                "memtable_bytes is {}: RocksDB needs at least {}",
                self.memtable_bytes,
                Self::SMALLEST_MEMTABLE_BYTES
            )
        } else if self.write_buffer_bytes < self.memtable_bytes {
            format!(
                "write_buffer_bytes is {}: it holds the memtables of all stores and must not be below \
                 memtable_bytes, {}",
                self.write_buffer_bytes, self.memtable_bytes
            )
        } else if self.max_open_files < 20 {
            format!("max_open_files is {}: RocksDB needs at least 20 per store", self.max_open_files)
        } else if self.compaction_threads == 0 {
            "compaction_threads is 0: without compactions a store grows without end".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::InvalidOptions { what: problem })
    }
}

/// Memory that all stores of a process use, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Blocks, indexes and filters, in bytes.
    pub block_cache_bytes: usize,
    /// Memtables, in bytes.
    pub write_buffer_bytes: usize,
}

/// What the stores of a process share. Clones share too.
#[derive(Clone)]
pub struct Resources {
    options: StoreOptions,
    cache: Cache,
    write_buffers: WriteBufferManager,
    env: Env,
    /// Of a simulation.
    memory_stores: Option<MemoryStores>,
    observer: Option<Arc<dyn StoreObserver>>,
}

impl Resources {
    /// Sets the budget up. Call it once in a process and hand it to every store.
    ///
    /// The threads are those of RocksDB's default environment, which a process has once: a second call with
    /// other numbers changes them for the stores of the first.
    pub fn new(options: StoreOptions) -> Result<Self, Error> {
        options.check()?;
        let mut env = Env::new().map_err(|error| Error::InvalidOptions {
            what: format!("RocksDB has no environment on this system: {error}"),
        })?;
        env.set_low_priority_background_threads(i32::from(options.compaction_threads));
        env.set_high_priority_background_threads(1);
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        // No stall: a worker that waits for another worker's flush would miss its poll interval.
        let write_buffers = WriteBufferManager::new_write_buffer_manager(options.write_buffer_bytes, false);
        Ok(Self { options, cache, write_buffers, env, memory_stores: None, observer: None })
    }

    /// For a simulation: stores are opened in memory. What they keep is in `stores`.
    #[must_use]
    pub fn in_memory(mut self, stores: MemoryStores) -> Self {
        self.memory_stores = Some(stores);
        self
    }

    /// For a simulation: every write of a store is told to `observer`.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn StoreObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn memory_stores(&self) -> Option<&MemoryStores> {
        self.memory_stores.as_ref()
    }

    pub(crate) fn observer(&self) -> Option<&Arc<dyn StoreObserver>> {
        self.observer.as_ref()
    }

    /// What the stores use now.
    pub fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            block_cache_bytes: self.cache.get_usage(),
            write_buffer_bytes: self.write_buffers.get_usage(),
        }
    }

    /// Options of one store.
    pub(crate) fn database_options(&self, horizon: &Horizon) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_env(&self.env);
        self.bound_memory(&mut options);
        set_compaction(&mut options, &self.options, horizon);
        set_quiet_log(&mut options);
        options.set_block_based_table_factory(&self.table_options());
        options
    }

    fn bound_memory(&self, options: &mut Options) {
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_write_buffer_size(self.options.memtable_bytes);
        // One takes writes while another is flushed; the manager counts both.
        options.set_max_write_buffer_number(3);
        // By default an eighth of the memtable, at once: 48 stores with one row each would hold 48 MiB.
        options.set_arena_block_size(64 * KIB);
        // Most lookups find nothing, and most of those that were written lately are in memory: a filter answers in place
        // of a walk through the memtable. 2% of a memtable is about 30 bits for each row.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_max_open_files(i32::from(self.options.max_open_files));
        // By default the open files are kept in 64 parts, each of which would hold one or two and close the others.
        options.set_table_cache_num_shard_bits(0);
        // A store has few files: reading statistics of all of them would slow its opening down for nothing.
        options.set_skip_stats_update_on_db_open(true);
    }

    fn table_options(&self) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        // Otherwise indexes and filters are outside of the budget.
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // Most keys that a decision asks for are absent (a payment's first attempt): the filter answers.
        table.set_bloom_filter(10.0, false);
        // In parts, found by an index that stays in memory: where they do not all fit into the cache, what is missing is a
        // part, not the filter of a whole file, which is nearly a megabyte.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(METADATA_PART_BYTES);
        table.set_pin_top_level_index_and_filter(true);
        table
    }
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resources").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Table files in the first level that begin a compaction. Each is a memtable, a few MiB by default: with RocksDB's
/// default of 4, each rewrote up to a whole second level for 20 MiB. A lookup pays with filters, which are in memory.
const FIRST_LEVEL_FILES: i32 = 12;

/// Of an index or a filter. Larger parts are found faster where all of them are in the cache, and cost more to read where they are
/// not: docs/performance.md has both.
const METADATA_PART_BYTES: usize = 16 * KIB;

fn set_compaction(options: &mut Options, limits: &StoreOptions, horizon: &Horizon) {
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_zero_file_num_compaction_trigger(FIRST_LEVEL_FILES);
    // As far above it as RocksDB's defaults: writes wait only if compactions cannot keep up.
    options.set_level_zero_slowdown_writes_trigger(FIRST_LEVEL_FILES + 16);
    options.set_level_zero_stop_writes_trigger(FIRST_LEVEL_FILES + 32);
    // RocksDB's default, or twice what the first level gives it where memtables are large.
    let first_level_bytes = FIRST_LEVEL_FILES.unsigned_abs() as usize * limits.memtable_bytes;
    options.set_max_bytes_for_level_base((2 * first_level_bytes).max(256 * MIB) as u64);
    // One flush and the compactions: the threads of the environment bound all stores together.
    options.set_max_background_jobs(i32::from(limits.compaction_threads) + 1);
    options.set_compaction_filter_factory(ExpiryFilterFactory { horizon: horizon.clone() });
    // Files that no write touches are rewritten now and then, or their expired rows would stay.
    options.set_periodic_compaction_seconds(7 * SECONDS_PER_DAY);
    // Due rows are written once and removed once: tombstones gather where the next scan begins.
    options.add_compact_on_deletion_collector_factory(1_024, 512, 0.5);
}

/// RocksDB's own log: warnings, in two small files per store, without statistics.
fn set_quiet_log(options: &mut Options) {
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_work_are_named() {
        let good = StoreOptions::default();
        assert!(good.check().is_ok());
        let cases = [
            (StoreOptions { block_cache_bytes: 1, ..good.clone() }, "block_cache_bytes is 1"),
            (StoreOptions { memtable_bytes: 1, ..good.clone() }, "memtable_bytes is 1"),
            (StoreOptions { write_buffer_bytes: MIB, ..good.clone() }, "write_buffer_bytes is 1048576"),
            (StoreOptions { max_open_files: 19, ..good.clone() }, "max_open_files is 19"),
            (StoreOptions { compaction_threads: 0, ..good }, "compaction_threads is 0"),
        ];
        for (options, beginning) in cases {
            let error = Resources::new(options).expect_err(beginning);
            assert_eq!(error.code(), "STL-0210");
            assert!(error.to_string().starts_with(beginning), "{error}");
        }
    }
}
