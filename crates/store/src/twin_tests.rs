//! The store on RocksDB and the one in memory under the same operations: they agree at every step, and a crash
//! leaves the state after some earlier change, never a mix.

use std::path::Path;

use proptest::prelude::*;
use settle_engine::{Rows, StateKey};
use settle_types::Timestamp;
use tempfile::TempDir;

use crate::crash_tests::crash_image;
use crate::testing::{IDENTITY, TestRow, TestStore, apply, contents, key, progress, read, row};
use crate::{MemoryStore, Progress, Resources, StateStore, Store, StoreOptions};

type Contents = (Option<Progress>, Vec<(StateKey, Vec<u8>)>);

const TABLES: [u8; 3] = [0x02, 0x03, 0x80];
const NAMES: [&str; 5] = ["a", "b", "bb", "c", ""];

#[derive(Clone, Debug)]
enum Operation {
    /// Changes, and by how much the clock moves on. A change: key, and how long its row lives; none removes it.
    Apply {
        changes: Vec<(StateKey, Option<i64>)>,
        clock_step: i64,
    },
    Load(Vec<StateKey>),
    Due {
        from: StateKey,
        until: StateKey,
        limit: usize,
    },
    Scan {
        table: u8,
        start: StateKey,
        limit: usize,
    },
    Flush,
    Collect,
    Reopen,
    /// Goes on with what a crash at this moment would leave.
    Crash,
}

fn any_key() -> impl Strategy<Value = StateKey> {
    (prop::sample::select(TABLES.to_vec()), prop::sample::select(NAMES.to_vec()))
        .prop_map(|(table, name)| key(table, name))
}

fn any_change() -> impl Strategy<Value = (StateKey, Option<i64>)> {
    let lifetime = prop_oneof![Just(None), (1_i64..60).prop_map(Some), Just(Some(i64::MAX))];
    (any_key(), lifetime)
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let changes = prop::collection::vec(any_change(), 0..8);
    prop_oneof![
        8 => (changes, 0_i64..20).prop_map(|(changes, clock_step)| Operation::Apply { changes, clock_step }),
        3 => prop::collection::vec(any_key(), 0..10).prop_map(Operation::Load),
        2 => (any_key(), any_key(), 0_usize..6)
            .prop_map(|(from, until, limit)| Operation::Due { from, until, limit }),
        2 => (prop::sample::select(TABLES.to_vec()), any_key(), 0_usize..6)
            .prop_map(|(table, start, limit)| Operation::Scan { table, start, limit }),
        2 => Just(Operation::Flush),
        1 => Just(Operation::Collect),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Crash),
    ]
}

/// Small memtables, so that RocksDB flushes and compacts by itself at moments that nobody chose.
fn small_resources() -> Resources {
    let small = StoreOptions { memtable_bytes: 64 * 1024, ..StoreOptions::default() };
    Resources::new(small).expect("the options work")
}

/// Both stores, and every state since the beginning that a crash may fall back to.
struct Twins {
    /// None only while it is reopened. It stands before its directory, so that it is dropped first.
    stored: Option<TestStore>,
    directory: TempDir,
    resources: Resources,
    memory: MemoryStore<TestRow>,
    /// Memory after each change, the first one empty. The last is the present.
    history: Vec<MemoryStore<TestRow>>,
    /// Index in the history below which no crash may fall.
    flushed: usize,
    step: u32,
    now: i64,
}

impl Twins {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let resources = small_resources();
        let stored = Some(open(directory.path(), &resources));
        let memory = MemoryStore::new(IDENTITY);
        let history = vec![memory.clone()];
        Self { stored, directory, resources, memory, history, flushed: 0, step: 0, now: 0 }
    }

    fn stored(&mut self) -> &mut TestStore {
        self.stored.as_mut().expect("the store is open")
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Apply { changes, clock_step } => self.apply(changes, *clock_step),
            Operation::Load(keys) => assert_eq!(read(self.stored(), keys), read(&self.memory, keys)),
            Operation::Due { from, until, limit } => {
                let expected = self.memory.due(from, until, *limit).expect("memory reads");
                assert_eq!(self.stored().due(from, until, *limit).expect("the store reads"), expected);
            }
            Operation::Scan { table, start, limit } => {
                let expected = self.memory.scan(*table, start, *limit).expect("memory reads");
                assert_eq!(self.stored().scan(*table, start, *limit).expect("the store reads"), expected);
            }
            Operation::Flush => {
                self.stored().flush().expect("the store flushes");
                self.flushed = self.history.len() - 1;
            }
            Operation::Collect => {
                self.stored().collect_expired().expect("the store collects");
                self.memory.collect_expired().expect("memory collects");
                self.flushed = self.history.len() - 1;
            }
            Operation::Reopen => {
                self.stored.take().expect("the store is open").close().expect("the store closes");
                self.stored = Some(open(self.directory.path(), &self.resources));
                self.flushed = self.history.len() - 1;
            }
            Operation::Crash => self.crash(),
        }
    }

    fn apply(&mut self, changes: &[(StateKey, Option<i64>)], clock_step: i64) {
        self.step += 1;
        self.now += clock_step;
        // Large and incompressible enough to fill a memtable after some changes.
        let text = format!("{}-{}", self.step, "x".repeat(4_000));
        let rows: Vec<_> = changes
            .iter()
            .map(|(key, life)| (key.clone(), life.map(|life| row(self.now.saturating_add(life), &text))))
            .collect();
        let progress = progress(self.step, self.now);
        apply(self.stored(), &rows, &progress);
        apply(&mut self.memory, &rows, &progress);
        self.history.push(self.memory.clone());
    }

    fn crash(&mut self) {
        let store = self.stored.take().expect("the store is open");
        let image = crash_image(&store.database, self.directory.path());
        drop(store);
        let recovered = open(image.path(), &self.resources);
        let step_of =
            |store: &dyn StateStore<TestRow>| store.progress().map(|found| found.journal_next_offset);
        let found = step_of(&recovered);
        let survivors = &self.history[self.flushed..];
        let back_to = survivors.iter().position(|earlier| step_of(earlier) == found);
        let back_to =
            self.flushed + back_to.expect("a crash loses nothing that was flushed, and adds nothing");
        self.memory = self.history[back_to].clone();
        self.history.truncate(back_to + 1);
        self.flushed = back_to;
        self.step = self
            .memory
            .progress()
            .map_or(0, |found| u32::try_from(found.journal_next_offset).expect("the test takes few steps"));
        self.now = self.memory.progress().map_or(0, |found| found.meta.now.as_micros());
        self.stored = Some(recovered);
        self.directory = image;
    }

    fn assert_equal(&mut self) {
        let expected: Contents = contents(&self.memory, Timestamp::MIN);
        assert_eq!(contents(self.stored(), Timestamp::MIN), expected);
    }
}

fn open(directory: &Path, resources: &Resources) -> TestStore {
    Store::open(directory, resources, IDENTITY).expect("the store opens")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn twins_agree_at_every_step(operations in prop::collection::vec(any_operation(), 1..60)) {
        let mut twins = Twins::new();
        for operation in &operations {
            twins.run(operation);
            twins.assert_equal();
        }
    }
}

/// Many changes and no flush but RocksDB's own: crash images taken all along hold some prefix, and not only the
/// empty one.
#[test]
fn a_crash_at_any_moment_leaves_a_prefix() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resources = small_resources();
    let mut store = open(directory.path(), &resources);
    let mut memory = MemoryStore::new(IDENTITY);
    let mut history: Vec<Contents> = vec![contents(&memory, Timestamp::MIN)];
    let mut most_recovered = 0;
    for step in 1..=300_u32 {
        let changes: Vec<_> = TABLES
            .iter()
            .enumerate()
            .map(|(index, table)| {
                let name = NAMES[(usize::try_from(step).expect("small") * 7 + index) % NAMES.len()];
                let is_removed = (step + u32::from(*table)) % 5 == 0;
                let text = format!("{step}-{}", "x".repeat(1_000));
                (key(*table, name), (!is_removed).then(|| row(i64::from(step) + 40, &text)))
            })
            .collect();
        let progress = progress(step, i64::from(step));
        apply(&mut store, &changes, &progress);
        apply(&mut memory, &changes, &progress);
        history.push(contents(&memory, Timestamp::MIN));
        if step % 20 != 0 {
            continue;
        }
        let image = crash_image(&store.database, directory.path());
        let recovered = open(image.path(), &resources);
        let found = recovered.progress().map_or(0, |found| found.journal_next_offset);
        let found = usize::try_from(found).expect("the test takes few steps");
        assert!(found >= most_recovered, "what was durable stays durable");
        most_recovered = found;
        assert_eq!(contents(&recovered, Timestamp::MIN), history[found]);
    }
    assert!(most_recovered > 0, "RocksDB flushed by itself, or nothing was tested");
}

#[test]
fn rows_that_are_known_are_not_loaded_again() {
    let mut twins = Twins::new();
    twins.apply(&[(key(2, "a"), Some(i64::MAX)), (key(2, "b"), Some(i64::MAX))], 1);
    let memory = twins.memory.clone();
    let stores: [&dyn StateStore<TestRow>; 2] = [twins.stored(), &memory];
    for store in stores {
        let mut rows = Rows::default();
        rows.put(key(2, "a"), row(9, "changed"));
        let keys = [key(2, "b"), key(2, "a"), key(2, "b"), key(2, "c")];
        store.load(&keys, &mut rows).expect("the keys load");
        assert_eq!(rows.get(&key(2, "a")), Some(&row(9, "changed")));
        assert!(rows.get(&key(2, "b")).is_some());
        assert_eq!(rows.get(&key(2, "c")), None);
    }
}
