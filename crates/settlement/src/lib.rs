//! Contracts, fees, calendars, cut-offs, batches, reserves and payouts of a merchant. Pure.
//!
//! Owns how much a merchant gets, and when. Must not know which event asks (`engine`), what is posted (`ledger`)
//! or where anything is kept. Time zones come from the database built into the binary, never from the machine.

pub mod batch;
pub mod calendar;
pub mod compiled;
pub mod contract;
pub mod cut_off;
pub mod fee;

pub use batch::{Close, close, net, reserve_release_at};
pub use calendar::{Calendar, Calendars};
pub use compiled::{CompiledContract, CompiledContracts, Problem, Problems};
pub use contract::{Contract, ContractStatus, Contracts, Fee};
pub use cut_off::SalesClock;
pub use fee::{FeeError, fee, fee_returned};
