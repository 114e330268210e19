//! Seeds that run with every test: no violation, every run the same again, RocksDB and its twin in memory alike.
#![allow(clippy::print_stdout, reason = "what fired is worth reading")]

use settle_simulator::report::Report;
use settle_simulator::run::{Runner, StoreKind};

const SEEDS: u64 = 200;

fn run_all(seeds: std::ops::Range<u64>) -> Report {
    let runner = Runner::new();
    let mut report = Report::default();
    for seed in seeds {
        let outcome = runner.seed(seed, StoreKind::Memory);
        report.add(seed, &outcome);
    }
    report
}

#[test]
fn two_hundred_seeds_find_nothing_and_every_kind_of_fault_fires() {
    let mut report = std::thread::scope(|scope| {
        let threads =
            [1..SEEDS / 2 + 1, SEEDS / 2 + 1..SEEDS + 1].map(|seeds| scope.spawn(|| run_all(seeds)));
        let mut all = Report::default();
        for thread in threads {
            all.merge(&thread.join().expect("a thread of the simulator does not panic"));
        }
        all
    });
    println!("{report}");
    assert_eq!(report.runs, SEEDS);
    let failures = std::mem::take(&mut report.failures);
    assert!(failures.is_empty(), "`simulate --seed N` shows more: {failures:#?}");
    assert_eq!(report.silent_faults(), Vec::<String>::new(), "a fault that never fires checks nothing");
}

#[test]
fn a_seed_runs_the_same_again_to_the_byte() {
    let runner = Runner::new();
    for seed in 1..=12 {
        let first = runner.seed(seed, StoreKind::Memory);
        let second = runner.seed(seed, StoreKind::Memory);
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
    }
}

#[test]
fn rocksdb_ends_as_its_twin_in_memory_does() {
    let runner = Runner::new();
    for seed in [3, 14, 27, 58, 81, 119] {
        let memory = runner.seed(seed, StoreKind::Memory);
        let rocksdb = runner.seed(seed, StoreKind::RocksDb);
        assert_eq!(rocksdb.violations, Vec::<String>::new(), "seed {seed}");
        assert_eq!(rocksdb.hash, memory.hash, "seed {seed}");
    }
}
