//! Avro codecs of the schemas in `schemas/`, and the Confluent wire format.
//!
//! Owns how a record of `settle_types` becomes the value of a Kafka record and back: which schema a topic
//! carries ([`BuiltIn`]), the bytes ([`encode`], [`decode`]), what is wrong with bytes that are none
//! ([`DecodeError`]), a view for people ([`to_json_string`]), and which changes of a schema are allowed
//! ([`check_full_compatibility`]); and the client of a schema registry ([`Registry`]), where ids are not those
//! built in.
//!
//! Must not know what a record means. Only [`Registry`] does I/O, and reading a record never waits for it: a
//! schema that is not built in comes through a [`SchemaSource`] or a worker's [`Schemas`], from memory.

mod built_in;
mod compatibility;
mod error;
mod json;
mod registry;
mod source;
mod wire;

pub use built_in::{AvroRecord, BuiltIn};
pub use compatibility::{IncompatibleSchemas, check_full_compatibility};
pub use error::DecodeError;
pub use json::{to_json_string, to_json_string_with};
pub use registry::{
    BasicAuth, Lookup, PendingSchema, RegisteredSchema, Registry, RegistryError, RegistryOptions,
    RegistryStatus, Schemas, WeakerLevel,
};
pub use source::{BuiltInSchemas, InvalidSchema, SchemaSource, WriterSchema};
pub use wire::{HEADER_LENGTH, MAGIC, WireIds, decode, decode_with, encode, encode_with, schema_id};
