//! The configuration of Settle: its keys, where they are read from, what is wrong with them, and their reference.
//!
//! Owns [`Config`], the layers ([`load`]: defaults, TOML file, environment, flags), the checks ([`check`]) and the
//! generated reference ([`reference_markdown`]). All of them follow the types of [`Config`] and their doc comments:
//! there is no second list of keys. Must not know what is done with a value (`runtime`, `log`, `store`), and reads
//! nothing but the file it is given: the environment comes in as a list.

mod check;
mod config;
mod demo;
mod environment;
mod field_order;
pub mod http;
pub mod kafka;
mod key_path;
mod load;
mod problem;
mod read;
mod reference;
pub mod registry;
mod shape;
pub mod snapshots;
mod tree;
mod verify;

pub use check::check;
pub use config::{
    ApplicationConfig, Config, EmbeddedConfig, IdFormats, IdempotencyConfig, LogFormat, StoreConfig,
    SyncSetting, TelemetryConfig, WorkerConfig, to_toml,
};
pub use demo::{DEMO_TOML, demo_config};
pub use environment::PREFIX as ENVIRONMENT_PREFIX;
pub use load::{FlagValue, Loaded, Sources, load};
pub use problem::{Error, Origin, Problem, Severity, code};
pub use reference::reference_markdown;
