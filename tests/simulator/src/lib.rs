//! Whole pipelines over a simulated cluster: several processes with the real worker loop, stores and deciders, a workload,
//! and faults. One seed decides everything; everything that is committed is checked (docs/correctness.md).
//!
//! - [`plan`], [`workload`], [`settings`]: what a run does
//! - `world`, `process`, [`clock`]: who does it, on virtual time
//! - [`checker`], [`model`], [`lines`]: what must hold; `ending`: what must hold when all is done
//! - [`run`](mod@run), [`shrink`], [`report`], `mutations`: runs, one or many

pub mod checker;
pub mod clock;
mod ending;
pub mod lines;
pub mod model;
#[cfg(feature = "mutations")]
pub mod mutations;
pub mod plan;
mod process;
pub mod report;
pub mod run;
pub mod settings;
pub mod shrink;
pub mod workload;
mod world;
