//! The state of one stage and one partition: its rows and how far its journal was folded into them.
//!
//! Owns how rows and progress are kept, made durable, expired and listed: [`Store`] on RocksDB and
//! [`MemoryStore`] for tests and the simulator, behind [`StateStore`]; and how copies of a store are kept in an
//! object store: [`SnapshotRepository`]. Must not know what a row means, what a journal or a transaction is, or
//! what time it is: it stores what it is handed, after the journal has it (I1).

mod collection;
mod error;
mod memory;
mod memory_stores;
mod open;
mod options;
mod progress;
mod snapshot;
mod state_store;
mod store;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod twin_tests;

pub use error::Error;
pub use memory::MemoryStore;
pub use memory_stores::MemoryStores;
pub use open::{StoreObserver, destroy, open};
pub use options::{MemoryUse, Resources, StoreOptions};
pub use progress::{Identity, PROGRESS_VERSION, Progress};
pub use snapshot::{
    Checkpoint, Collected, ContentHash, KeptSnapshot, MANIFEST_VERSION, Manifest, S3Options, SnapshotFile,
    SnapshotOptions, SnapshotRepository, Uploaded,
};
pub use state_store::{Dump, StateStore};
pub use store::Store;
