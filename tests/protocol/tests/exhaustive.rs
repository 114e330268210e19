//! Searches the model whole: the protocol has no state that must not be, and each rule that is left out has one.

#![expect(clippy::print_stdout, reason = "what was searched and found is part of the evidence")]

use std::collections::BTreeSet;

use settle_protocol_model::cluster::Request;
use settle_protocol_model::options::{Mutation, Trouble};
use settle_protocol_model::pipeline::{Action, Pipeline};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

struct Search {
    name: &'static str,
    records: u8,
    events_per_transaction: usize,
    trouble: Trouble,
}

/// What one search allows. Two workers that are awake at once make many more states, so that the others get less.
const SEARCHES: [Search; 6] = [
    Search {
        name: "a zombie with long transactions",
        records: 2,
        events_per_transaction: 2,
        trouble: Trouble { network: 0, crashes: 0, moves: 1, timeouts: 0 },
    },
    Search {
        name: "lost and late requests",
        records: 2,
        events_per_transaction: 2,
        trouble: Trouble { network: 3, crashes: 0, moves: 0, timeouts: 1 },
    },
    Search {
        name: "deaths with late requests",
        records: 2,
        events_per_transaction: 2,
        trouble: Trouble { network: 1, crashes: 2, moves: 0, timeouts: 1 },
    },
    Search {
        name: "a zombie with late requests",
        records: 2,
        events_per_transaction: 1,
        trouble: Trouble { network: 1, crashes: 0, moves: 1, timeouts: 0 },
    },
    Search {
        name: "two zombies",
        records: 1,
        events_per_transaction: 1,
        trouble: Trouble { network: 0, crashes: 0, moves: 2, timeouts: 1 },
    },
    Search {
        name: "a zombie and a death",
        records: 1,
        events_per_transaction: 2,
        trouble: Trouble { network: 0, crashes: 1, moves: 1, timeouts: 0 },
    },
];

impl Search {
    fn pipeline(&self, mutation: Option<Mutation>) -> Pipeline {
        Pipeline {
            records: self.records,
            events_per_transaction: self.events_per_transaction,
            trouble: self.trouble,
            mutation,
        }
    }
}

/// A state that must not be, and how it came about.
struct Counterexample {
    property: &'static str,
    actions: Vec<Action>,
}

/// The shortest counterexample of the first search that has one.
fn counterexample(mutation: Mutation) -> Option<Counterexample> {
    for search in &SEARCHES {
        let checker = search
            .pipeline(Some(mutation))
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = checker
            .discoveries()
            .into_iter()
            .filter(|(name, _)| {
                let properties = checker.model().properties();
                properties.iter().any(|known| known.name == *name && known.expectation == Expectation::Always)
            })
            .map(|(property, path)| Counterexample { property, actions: path.into_actions() })
            .min_by_key(|found| found.actions.len());
        if let Some(found) = found {
            println!(
                "{mutation:?}: broken after {} steps ({}): {}",
                found.actions.len(),
                search.name,
                found.property
            );
            return Some(found);
        }
    }
    None
}

#[test]
fn the_protocol_has_no_state_that_must_not_be() {
    let mut seen = BTreeSet::new();
    let mut total = 0;
    for search in &SEARCHES {
        let checker = search.pipeline(None).checker().threads(2).spawn_bfs().join();
        println!(
            "{}: {} unique states, histories of up to {} steps",
            search.name,
            checker.unique_state_count(),
            checker.max_depth()
        );
        total += checker.unique_state_count();
        for property in checker.model().properties() {
            let example = checker.discovery(property.name);
            match (property.expectation, example) {
                (Expectation::Sometimes, Some(_)) => {
                    seen.insert(property.name);
                }
                (Expectation::Sometimes, None) | (_, None) => {}
                (_, Some(path)) => {
                    panic!("{}: broken: {}\n{:#?}", search.name, property.name, path.into_actions());
                }
            }
        }
    }
    println!("{total} unique states in all");
    let properties = SEARCHES[0].pipeline(None).properties();
    let expected = properties.iter().filter(|property| property.expectation == Expectation::Sometimes);
    for property in expected {
        assert!(seen.contains(property.name), "no search came by: {}", property.name);
    }
}

#[test]
fn each_rule_that_is_left_out_breaks_it() {
    let found_none: Vec<Mutation> =
        Mutation::ALL.into_iter().filter(|mutation| counterexample(*mutation).is_none()).collect();
    assert_eq!(found_none, [], "these rules are not needed, or the model is too small");
}

/// The residual of a client without KIP-890: `EndTxn` of one transaction ends the next. Only a new producer helps.
#[test]
fn without_a_new_producer_a_late_commit_ends_the_next_transaction() {
    let found = counterexample(Mutation::NoNewProducer).expect("it is found");
    for action in &found.actions {
        println!("  {action:?}");
    }
    assert!(matches!(found.actions.last(), Some(Action::Late(_))), "the late request does the damage");
    let is_delayed_commit = |action: &Action| matches!(action, Action::Send { request: Request::End { is_commit: true }, fate, .. } if fate.is_delayed());
    assert!(found.actions.iter().any(is_delayed_commit), "it is the end of a transaction");
}
