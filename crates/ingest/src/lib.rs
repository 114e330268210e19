//! Request files and generated traffic: CSV, JSONL and Avro container files become requests; bad rows become rejects.
//!
//! Owns everything between a file of an upstream team and a [`settle_types::request::PaymentRequested`], and the
//! seeded traffic of the demo. Must not know topics, wire formats or the log, and must not judge requests: what can
//! be encoded goes on, and AUTHORIZE decides.

mod decimal;
mod error;
mod field;
pub mod generate;
mod instant;
mod mapping;
mod mask;
mod nearest;
mod reader;
mod rejects;

pub use error::Error;
pub use mapping::{Mapping, MappingError};
pub use reader::{Format, MAX_ROW_BYTES, ReadError, Requests};
pub use rejects::{Place, Reject, RejectsError, RejectsFile};
