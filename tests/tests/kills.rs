//! `kill -9` at random moments: what comes out at last is what comes out of an undisturbed run.

use std::fs;
use std::thread;
use std::time::Duration;

use settle_tests::program::now;
use settle_tests::{Chance, Settle, Topics, invariants, note, state};

use crate::determinism::{copy_of, produced};

const ROUNDS: u64 = 4;
/// Kills of one round; then it may run to its end.
const MOST_KILLS: u32 = 14;
const RUN: [&str; 5] = ["run", "--until-idle", "--finish", "--log-level", "warn"];

/// Runs that were killed.
#[derive(Clone, Copy, Debug, Default)]
struct Kills {
    /// All of them.
    all: u32,
    /// Those that had committed something and were not done.
    at_work: u32,
}

/// Kills and restarts until a run ends by itself.
fn run_through_kills(settle: &Settle, chance: &mut Chance, undisturbed: Duration) -> Kills {
    let longest_micros =
        u64::try_from(undisturbed.as_micros() / 3).expect("a run takes less than an age").max(2_000);
    let segment = settle.data().join("log/segment-00000000000000000000.log");
    let length = || fs::metadata(&segment).expect("the log has a segment").len();
    let mut kills = Kills::default();
    loop {
        let before = length();
        let mut running = settle.start(&RUN);
        if kills.all < MOST_KILLS {
            thread::sleep(Duration::from_micros(chance.between(1_000, longest_micros)));
            if running.kill() {
                kills.all += 1;
                kills.at_work += u32::from(length() > before);
                continue;
            }
        }
        running.wait().expect_code(0);
        return kills;
    }
}

#[test]
fn kill_9_at_random_moments_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Small transactions, so that kills fall between, in and after many commits; frequent flushes, so that they
    // fall into those, too.
    let small = |settle: Settle| {
        settle
            .with("worker.commit_records=40")
            .with("worker.batch_records=30")
            .with("store.max_unflushed_bytes=65536")
    };
    let produced = small(produced(folder.path(), "99"));
    let undisturbed = copy_of(&produced, "undisturbed");
    let started = now();
    undisturbed.settle();
    let duration = started.elapsed();
    let expected = Topics::read(undisturbed.data());
    let expected_state = state::dump(undisturbed.data());
    invariants::check(&expected);

    let mut kills = Kills::default();
    for seed in 1..=ROUNDS {
        let settle = copy_of(&produced, &format!("killed-{seed}"));
        let killed = run_through_kills(&settle, &mut Chance::new(seed), duration);
        note(format!("seed {seed}: {killed:?}; an undisturbed run takes {duration:?}"));
        expected.assert_same(&Topics::read(settle.data()), &format!("seed {seed}, after {killed:?}"));
        for (name, store) in state::dump(settle.data()) {
            assert_eq!(expected_state[&name], store, "I10: the store of {name:?}, seed {seed}");
        }
        kills.all += killed.all;
        kills.at_work += killed.at_work;
    }
    assert!(kills.all >= 8 && kills.at_work >= 4, "only {kills:?}: this test proved too little");
}
