//! What the tests of the engine share: an in-memory shell around the stages, and builders of records.
//!
//! Each test file uses a part of it.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod build;
pub mod document;
pub mod harness;
pub mod invariants;
pub mod model;
pub mod model_lines;
pub mod model_settle;
pub mod pipeline;
pub mod reasons;
pub mod script;
pub mod settle_script;
pub mod streams;
