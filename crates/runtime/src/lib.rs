//! The shell around the deciders: poll, decode, prefetch, decide, evolve, produce, commit, restore.
//!
//! Owns the order in which things happen: what is fetched before a decision, what is committed before the
//! store, what is restored before a transaction opens. Must not judge payments (`settle-engine`), and must not
//! know how a log or a store keeps its bytes (`settle-log`, `settle-store`).

pub mod clock;
mod error;
pub mod health;
pub mod metrics;
mod monitor;
#[cfg(feature = "mutations")]
#[doc(hidden)]
pub mod mutations;
mod opening;
mod partition;
mod pipeline;
mod queue;
mod restore;
#[doc(hidden)]
pub mod simulation;
mod snapshots;
mod standby;
mod stats;
mod topics;
mod transaction;
mod worker;

pub use error::Error;
pub use monitor::{AbortReason, CommittedWork, GivenUp, WorkerMonitor};
pub use pipeline::{Pipeline, PipelineOptions, RunMode, StageSelection};
use settle_codec as codec;
pub use settle_codec::StageCodec;
pub use snapshots::Snapshots;
pub use stats::{Stats, StatsSnapshot};
pub use topics::{TopicDifference, TopicRequirements, topic_differences};
pub use worker::{Worker, WorkerOptions, group_name};
