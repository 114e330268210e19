//! Reading through a converted value, for writers' schemas that reading by name cannot express.
//!
//! Owns the use of apache-avro's resolution on bytes from outside. That library reserves memory for declared
//! lengths before it reads them and takes some cut values for whole ones, so the bytes are walked first with
//! the codec of the hot path, which does neither. Several times slower than reading by name, and rare.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::read_datum;
use crate::{AvroRecord, DecodeError, HEADER_LENGTH, WriterSchema};

/// A writer's schema for conversion.
#[derive(Debug)]
pub(super) struct Conversion {
    /// Without logical types: what the writer's numbers mean was compared, and a field that nobody reads must
    /// not fail for a value that its logical type does not allow.
    writer: Schema,
}

impl Conversion {
    /// Parses the text of a schema.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        remove_logical_types(&mut json);
        let writer = Schema::parse(&json).map_err(|error| error.to_string())?;
        Ok(Self { writer })
    }

    /// Reads a value whose id was looked at.
    pub(super) fn decode<T: AvroRecord>(
        &self,
        codec: &WriterSchema,
        reader: &Schema,
        bytes: &[u8],
    ) -> Result<T, DecodeError> {
        read_datum(codec.codec(), bytes, Walk)?;
        // No message is passed on: they quote values. And a panic of the library would come again with every
        // restart, since the record would be read again.
        match catch_unwind(AssertUnwindSafe(|| self.resolve(reader, &bytes[HEADER_LENGTH..]))) {
            Ok(Ok(record)) => Ok(record),
            Ok(Err(_)) | Err(_) => Err(DecodeError::NoCounterpart { expected: T::SCHEMA.full_name() }),
        }
    }

    fn resolve<T: AvroRecord>(&self, reader: &Schema, mut datum: &[u8]) -> Result<T, apache_avro::Error> {
        let resolving = GenericDatumReader::builder(&self.writer).reader_schema(reader).build()?;
        apache_avro::from_value(&resolving.read_value(&mut datum)?)
    }
}

/// Where a schema has types, and nowhere else: the names of fields and defaults stay as they are.
pub(super) fn remove_logical_types(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Array(branches) => branches.iter_mut().for_each(remove_logical_types),
        serde_json::Value::Object(members) => {
            members.remove("logicalType");
            for place in ["type", "items", "values", "fields"] {
                if let Some(inner) = members.get_mut(place) {
                    remove_logical_types(inner);
                }
            }
        }
        _ => {}
    }
}

/// Reads every byte of a value as its schema says, and keeps nothing.
struct Walk;

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of the writer's schema")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element_seed(Walk)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_key_seed(Walk)?.is_some() {
            access.next_value_seed(Walk)?;
        }
        Ok(())
    }
}
