//! Avro codecs of the schemas in `schemas/`, and the Confluent wire format.
//!
//! Owns how a record of `settle_types` becomes the value of a Kafka record and back: which schema a topic
//! carries ([`BuiltIn`]), the bytes ([`encode`], [`decode`]), what is wrong with bytes that are none
//! ([`DecodeError`]), a view for people ([`to_json_string`]), and which changes of a schema are allowed
//! ([`check_full_compatibility`]).
//!
//! Must not know what a record means, and does no I/O: a schema that is not built in comes through a
//! [`SchemaSource`], which has it ready before it is asked.

mod built_in;
mod compatibility;
mod error;
mod json;
mod source;
mod wire;

pub use built_in::{AvroRecord, BuiltIn};
pub use compatibility::{IncompatibleSchemas, check_full_compatibility};
pub use error::DecodeError;
pub use json::{to_json_string, to_json_string_with};
pub use source::{BuiltInSchemas, InvalidSchema, SchemaSource, WriterSchema};
pub use wire::{HEADER_LENGTH, MAGIC, decode, decode_with, encode, schema_id};
