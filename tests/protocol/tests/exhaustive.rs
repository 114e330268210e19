//! Searches the model whole: the protocol has no state that must not be, and each rule that is left out has one.

use std::time::Duration;

use settle_protocol_model::options::{Mutation, Trouble};
use settle_protocol_model::pipeline::Pipeline;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// What one search allows, by the trouble that it is about.
const SEARCHES: [(&str, u8, usize, Trouble); 7] = [
    ("network", 2, 2, Trouble { network: 2, crashes: 0, moves: 0, timeouts: 1 }),
    ("network3", 2, 2, Trouble { network: 3, crashes: 0, moves: 0, timeouts: 0 }),
    ("crashes", 2, 2, Trouble { network: 1, crashes: 2, moves: 0, timeouts: 0 }),
    ("zombies-1", 1, 1, Trouble { network: 1, crashes: 0, moves: 1, timeouts: 0 }),
    ("zombies-12", 1, 2, Trouble { network: 0, crashes: 0, moves: 1, timeouts: 0 }),
    ("zombies-2", 1, 1, Trouble { network: 0, crashes: 0, moves: 2, timeouts: 0 }),
    ("moves and crashes", 1, 1, Trouble { network: 0, crashes: 1, moves: 1, timeouts: 0 }),
];

#[test]
fn sizes() {
    for (name, records, events_per_transaction, trouble) in SEARCHES {
        let began = std::time::Instant::now();
        let checker = Pipeline { records, events_per_transaction, trouble, mutation: None }
            .checker()
            .threads(2)
            .timeout(Duration::from_secs(60))
            .spawn_bfs()
            .join();
        println!(
            "{name}: {} unique states, depth {}, {:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            began.elapsed()
        );
        for (p, path) in checker.discoveries() {
            let prop = checker.model().properties().into_iter().find(|x| x.name == p).unwrap();
            if prop.expectation == Expectation::Always {
                println!("  FOUND {p}: {:#?}", path.into_actions());
            } else {
                println!("  seen: {p}");
            }
        }
    }
}

#[test]
fn mutants() {
    for mutation in Mutation::ALL {
        for (name, records, events_per_transaction, trouble) in SEARCHES {
            let began = std::time::Instant::now();
            let checker = Pipeline { records, events_per_transaction, trouble, mutation: Some(mutation) }
                .checker()
                .threads(2)
                .timeout(Duration::from_secs(30))
                .finish_when(HasDiscoveries::AnyFailures)
                .spawn_bfs()
                .join();
            let mut found = String::new();
            for (p, path) in checker.discoveries() {
                let prop = checker.model().properties().into_iter().find(|x| x.name == p).unwrap();
                if prop.expectation == Expectation::Always {
                    found += &format!(" {p} in {} steps;", path.into_actions().len());
                }
            }
            println!(
                "{mutation:?} {name}: {} states {:?}{found}",
                checker.unique_state_count(),
                began.elapsed()
            );
        }
    }
}
