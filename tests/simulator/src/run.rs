//! One run, from its plan to its verdict.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Once;

use settle_log::simulated::ClientBug;
use settle_store::{MemoryStores, Resources, StoreOptions};

use crate::ending;
use crate::plan::Plan;
use crate::world::{Stores, World};

/// What the stores of a run are kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Memory, with the same encoded rows.
    Memory,
    /// RocksDB in a temporary folder.
    RocksDb,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<String>,
    /// Everything that was written, what became of it, what happened on the way, and the stores at the end.
    pub hash: String,
    /// Faults that fired, by kind.
    pub fired: BTreeMap<String, u64>,
    /// What the cluster went through.
    pub transitions: BTreeMap<String, u64>,
    /// What the journals said, without ids.
    pub reached: BTreeMap<String, u64>,
    /// Ends of processes, by code.
    pub ends: BTreeMap<String, u64>,
    /// Transactions that were committed and judged.
    pub transactions: u64,
    /// Events that were committed and judged.
    pub events: u64,
    /// Turns of workers.
    pub turns: u64,
    /// Steps of clients at which something could go wrong.
    pub steps: u64,
    /// Virtual milliseconds.
    pub millis: u64,
}

/// Runs plans, one after the other, on one thread.
pub struct Runner {
    resources: Resources,
    /// A deliberate bug of the client.
    pub client_bug: Option<ClientBug>,
}

thread_local! {
    static IS_SIMULATING: Cell<bool> = const { Cell::new(false) };
}

/// A panic of a simulated process is a finding, and no news for the terminal.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_SIMULATING.get() {
                usual(panic);
            }
        }));
    });
}

impl Runner {
    /// Ready to run.
    pub fn new() -> Self {
        keep_panics_quiet();
        let options = StoreOptions { block_cache_bytes: 8 << 20, ..StoreOptions::default() };
        let resources = Resources::new(options).expect("the options are valid");
        Self { resources, client_bug: None }
    }

    /// Runs a plan.
    pub fn run(&self, plan: &Plan, stores: StoreKind) -> Outcome {
        IS_SIMULATING.set(true);
        let outcome = match stores {
            StoreKind::Memory => {
                self.run_in(plan, Stores::Memory(MemoryStores::default()), PathBuf::from("memory"))
            }
            StoreKind::RocksDb => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                self.run_in(plan, Stores::RocksDb, folder.path().to_path_buf())
            }
        };
        IS_SIMULATING.set(false);
        outcome
    }

    fn run_in(&self, plan: &Plan, stores: Stores, root: PathBuf) -> Outcome {
        let world = World::new(plan.clone(), stores, root, self.resources.clone(), self.client_bug);
        ending::play(&world);
        let outcome = ending::outcome(&world);
        world.cluster.set_conductor(None);
        outcome
    }

    /// Runs the plan of a seed.
    pub fn seed(&self, seed: u64, stores: StoreKind) -> Outcome {
        self.run(&Plan::of_seed(seed), stores)
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}
