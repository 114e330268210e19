//! The two deciders, AUTHORIZE and SETTLE: pure, synchronous, deterministic state machines.
//!
//! Owns all judgement (`decide`), the meaning of every event (`evolve`), the mapping of events to the other
//! topics (`project`), and the layout of the state: keys, rows and their versioned encoding. Must not know
//! where records come from, where rows are kept or what time it is: the shell (`settle-runtime`) passes all
//! three in. No I/O, clock, randomness or iteration order of a hash map.

pub mod authorize;
pub mod clock;
pub mod input;
pub mod meta;
pub mod output;
pub mod rows;
pub mod settle;
pub mod stage;
pub mod state_key;
pub mod state_value;

pub use clock::{ClockConfig, ClockMode};
pub use input::{Input, Malformed};
pub use meta::Meta;
pub use output::{Output, Payload, Placement};
pub use rows::Rows;
pub use stage::{ActiveConfig, ConfigError, Stage};
pub use state_key::StateKey;
pub use state_value::StateRow;

/// Version of the decision logic. Raise it with every change that could give another event for the same
/// input: `settle verify` re-decides only what its own version decided.
pub const LOGIC_VERSION: i32 = 1;

/// Version of the fold: what this build's `evolve` understands, and the layout of the rows that it writes.
pub const FOLD_VERSION: i32 = 1;

/// Lowest fold version that understands the events that this build writes.
pub const MIN_FOLD_VERSION: i32 = 1;
