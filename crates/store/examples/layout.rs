//! Measures one column family with prefixes against one family per table: the figures of ADR 0003.
//!
//! `cargo run --release -p settle-store --example layout [DIRECTORY]`. Both layouts get the same cache, memtable
//! budget, filters and compression, and the same work in turns; the medians of the rounds are printed.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement by hand: it reads the clock and prints, and nothing is decided on it"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Error,
    FlushOptions, Options, WriteBatch, WriteBufferManager,
};

const TABLES: [&str; 4] = ["idempotency", "payments", "velocity", "due"];
/// Rows of each table before the measurement.
const ROWS: u64 = 100_000;
const VALUE_BYTES: usize = 160;
const ROUNDS: usize = 15;
/// Decisions in a round, and their keys and rows.
const DECISIONS: u64 = 1_000;
const KEYS: u64 = 6;
const CHANGES: u64 = 4;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    OneFamily,
    FamilyPerTable,
}

/// Times of a layout, one per round.
#[derive(Default)]
struct Samples {
    reads: Vec<Duration>,
    writes: Vec<Duration>,
    commits: Vec<Duration>,
    flushes: Vec<Duration>,
    opens: Vec<Duration>,
}

struct Measured {
    layout: Layout,
    database: DB,
}

impl Measured {
    fn open(layout: Layout, directory: &Path) -> Result<Self, Error> {
        let cache = Cache::new_lru_cache(128 << 20);
        let manager = WriteBufferManager::new_write_buffer_manager(64 << 20, false);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&manager);
        options.set_write_buffer_size(8 << 20);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_block_based_table_factory(&table);
        options.set_atomic_flush(layout == Layout::FamilyPerTable);
        let names = if layout == Layout::OneFamily { &["default"][..] } else { &TABLES };
        let families = names.iter().map(|name| ColumnFamilyDescriptor::new(*name, options.clone()));
        let database = DB::open_cf_descriptors(&options, directory, families)?;
        Ok(Self { layout, database })
    }

    fn family(&self, table: usize) -> &ColumnFamily {
        let name = if self.layout == Layout::OneFamily { "default" } else { TABLES[table] };
        self.database.cf_handle(name).expect("it was opened")
    }

    fn put(&self, batch: &mut WriteBatch, table: usize, number: u64) {
        // Incompressible, as ids and amounts are.
        let value: Vec<u8> =
            (0..VALUE_BYTES as u64 / 8).flat_map(|part| scatter(number + part).to_le_bytes()).collect();
        batch.put_cf(self.family(table), key(table, number), value);
    }

    fn fill(&self) -> Result<(), Error> {
        for number in 0..ROWS {
            let mut batch = WriteBatch::default();
            for table in 0..TABLES.len() {
                self.put(&mut batch, table, scatter(number));
            }
            self.database.write_without_wal(batch)?;
        }
        self.flush()?;
        self.database.wait_for_compact(&rocksdb::WaitForCompactOptions::default())
    }

    fn flush(&self) -> Result<(), Error> {
        if self.layout == Layout::OneFamily {
            return self.database.flush();
        }
        let families: Vec<_> = (0..TABLES.len()).map(|table| self.family(table)).collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.database.flush_cfs_opt(&families, &options)
    }

    /// The keys of a decision: half of them there, half absent, over all tables.
    fn read(&self, decision: u64) -> Result<usize, Error> {
        let mut keys: Vec<(usize, Vec<u8>)> = (0..KEYS)
            .map(|index| {
                let table = usize::try_from(index).expect("small") % TABLES.len();
                let chosen = scatter(decision * KEYS + index) % ROWS;
                let number = if index % 2 == 0 { scatter(chosen) } else { scatter(chosen) ^ 1 };
                (table, key(table, number))
            })
            .collect();
        keys.sort_unstable();
        let mut found = 0;
        for group in keys.chunk_by(|left, right| self.layout == Layout::OneFamily || left.0 == right.0) {
            let sorted = group.iter().map(|(_, key)| key.as_slice());
            for value in self.database.batched_multi_get_cf(self.family(group[0].0), sorted, true) {
                found += usize::from(value?.is_some());
            }
        }
        Ok(found)
    }

    fn changes(&self, batch: &mut WriteBatch, decision: u64) {
        for index in 0..CHANGES {
            self.put(batch, usize::try_from(index).expect("small"), scatter(decision));
        }
    }
}

/// A key of a table: as long as those of the product, in no order.
fn key(table: usize, number: u64) -> Vec<u8> {
    let table = u8::try_from(table).expect("four tables");
    [&[table + 2][..], &scatter(number).to_be_bytes(), &[b'k'; 32]].concat()
}

/// Spreads numbers (the finaliser of SplitMix64): the same keys in every run.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(Duration, T), Error> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed(), result))
}

fn round(measured: &Measured, samples: &mut Samples, first: u64) -> Result<(), Error> {
    let decisions = first..first + DECISIONS;
    let (time, found) =
        timed(|| decisions.clone().map(|decision| measured.read(decision)).sum::<Result<usize, _>>())?;
    assert!(found > 0, "half of the keys are there");
    samples.reads.push(time);

    let (time, ()) = timed(|| {
        for decision in decisions.clone() {
            let mut batch = WriteBatch::default();
            measured.changes(&mut batch, decision);
            measured.database.write_without_wal(batch)?;
        }
        Ok(())
    })?;
    samples.writes.push(time);

    let (time, ()) = timed(|| {
        let mut batch = WriteBatch::default();
        decisions.clone().for_each(|decision| measured.changes(&mut batch, ROWS + decision));
        measured.database.write_without_wal(batch)
    })?;
    samples.commits.push(time);
    samples.flushes.push(timed(|| measured.flush())?.0);
    Ok(())
}

fn median(samples: &mut [Duration]) -> u128 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_micros()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let layouts = [Layout::OneFamily, Layout::FamilyPerTable];
    let directories = [tempfile::tempdir_in(&parent)?, tempfile::tempdir_in(&parent)?];
    let mut samples = [Samples::default(), Samples::default()];
    let open = |index: usize| Measured::open(layouts[index], directories[index].path());
    let measured = [open(0)?, open(1)?];
    for store in &measured {
        store.fill()?;
    }
    for number in 0..ROUNDS {
        // In turns, and the first one alternates: a slow moment of the machine hits both.
        for turn in 0..2 {
            let index = (number + turn) % 2;
            round(&measured[index], &mut samples[index], number as u64 * DECISIONS)?;
        }
    }
    drop(measured);
    for _ in 0..ROUNDS {
        for (index, samples) in samples.iter_mut().enumerate() {
            samples.opens.push(timed(|| open(index))?.0);
        }
    }
    println!("medians of {ROUNDS} rounds in microseconds     one family   family per table");
    let [one, per_table] = &mut samples;
    let rows: [(&str, &mut Vec<Duration>, &mut Vec<Duration>); 5] = [
        ("1,000 x multi_get of 6 keys", &mut one.reads, &mut per_table.reads),
        ("1,000 x batch of 4 rows", &mut one.writes, &mut per_table.writes),
        ("1 x batch of 4,000 rows", &mut one.commits, &mut per_table.commits),
        ("flush of 8,000 rows", &mut one.flushes, &mut per_table.flushes),
        ("open", &mut one.opens, &mut per_table.opens),
    ];
    for (name, left, right) in rows {
        println!("{name:<42} {:>12} {:>18}", median(left), median(right));
    }
    Ok(())
}
