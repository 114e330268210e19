//! Between records and what the deciders speak: Avro in the wire format on one side, commands, events and outputs on the
//! other.
//!
//! Owns the mapping alone, so that whoever runs a stage and whoever checks what it wrote mean the same bytes. Must not
//! know when a record is read or written, nor by whom.

mod output;
mod stage;

pub use output::{Placed, place, trace_of};
pub use stage::{StageCodec, position, signed_offset, signed_partition, unsigned_offset};
