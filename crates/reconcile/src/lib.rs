//! Audits what Settle wrote, on any log: chain, balance, one decision per request, projections, re-decision.
//!
//! Owns [`verify`]: it reads every topic from its start, decides every journal event again from the requests, and compares
//! all of it. Must not know which log it reads, nor what keeps the state for the re-decision ([`StateFactory`]), and writes
//! nothing but temporary files.
//!
//! Memory does not grow with the log: partitions are read one after the other, what is to be compared later goes into
//! temporary files ([`VerifyOptions::scratch`]), and the state is the factory's.

mod batches;
mod codec;
mod error;
mod expected;
mod finding;
mod journal;
mod ledger;
mod outputs;
mod replica;
mod report;
mod run;
mod sorted;
mod spill;
mod stages;
mod state;
mod stream;
mod uses;
mod verify;

pub use error::Error;
pub use finding::{Finding, Kind, Place, Side};
pub use report::{Checked, KindCount, NotChecked, Report, Skipped};
pub use state::{FoldState, InMemory, StateFactory};
pub use verify::{NoProgress, Progress, VerifyOptions, verify};
