//! A schema that a registry has under an id, ready for reading records that name it.
//!
//! Owns the choice of the built-in schema that it belongs to, by the name of its record, and of the way in
//! which its records are read. Made once a schema, off the worker's thread; reading is the worker's.

use std::marker::PhantomData;
use std::sync::LazyLock;

use apache_avro::Schema;

use super::branches::ByBranch;
use super::cost::check_cost;
use super::resolution::{Way, fit};
use crate::source::ReaderSymbols;
use crate::wire::{read_datum, read_own};
use crate::{AvroRecord, BuiltIn, DecodeError, SchemaSource, WriterSchema, schema_id};

/// A schema of a registry.
#[derive(Debug)]
pub struct RegisteredSchema {
    id: u32,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    /// A version of a built-in schema.
    Of { schema: BuiltIn, writer: WriterSchema, way: Way },
    /// A record that is not ours.
    Foreign { writer: WriterSchema },
    /// No record that names it can be read.
    Unusable { what: String },
}

/// The built-in schemas for comparing.
static OURS: LazyLock<[Schema; BuiltIn::ALL.len()]> = LazyLock::new(|| {
    BuiltIn::ALL
        .map(|schema| Schema::parse_str(schema.text()).expect("built-in schemas parse: each is tested"))
});

impl RegisteredSchema {
    /// Makes an Avro schema ready. One that cannot be used is kept too: records that name it are refused, with
    /// the reason.
    pub fn new(id: u32, text: &str) -> Self {
        Self { id, reading: Reading::new(text).unwrap_or_else(|what| Reading::Unusable { what }) }
    }

    /// An id whose schema cannot be used, for a reason that is not in its text.
    pub(super) fn unusable(id: u32, what: impl Into<String>) -> Self {
        Self { id, reading: Reading::Unusable { what: what.into() } }
    }

    /// The id that the registry gave to it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The built-in schema that it is a version of.
    pub fn version_of(&self) -> Option<BuiltIn> {
        match self.reading {
            Reading::Of { schema, .. } => Some(schema),
            Reading::Foreign { .. } | Reading::Unusable { .. } => None,
        }
    }

    /// Why no record that names it can be read; none if some can.
    pub fn defect(&self) -> Option<&str> {
        match &self.reading {
            Reading::Unusable { what } => Some(what),
            Reading::Of { .. } | Reading::Foreign { .. } => None,
        }
    }

    /// True if its records are the same bytes as those of the built-in schema.
    pub(super) fn is_same_as(&self, expected: BuiltIn) -> bool {
        matches!(self.reading, Reading::Of { schema, way: Way::Same, .. } if schema == expected)
    }

    /// Reads a record that was written with this schema.
    ///
    /// # Errors
    /// As [`crate::decode`], and [`DecodeError::UnusableSchema`]. A value that names another id is
    /// [`DecodeError::UnknownSchema`].
    pub fn decode<T: AvroRecord>(&self, bytes: &[u8]) -> Result<T, DecodeError> {
        let id = schema_id(bytes)?;
        if id != self.id {
            return Err(DecodeError::UnknownSchema { id });
        }
        let wrong = |found: &WriterSchema| DecodeError::WrongSchema {
            expected: T::SCHEMA.full_name(),
            found: found.full_name().to_owned(),
        };
        match &self.reading {
            Reading::Of { schema, writer, way } if *schema == T::SCHEMA => match way {
                Way::Same => read_own(bytes),
                Way::ByName => read_datum(writer.codec(), bytes, PhantomData).map_err(in_our_schema::<T>),
                Way::ByBranch => {
                    read_datum(writer.codec(), bytes, ByBranch(PhantomData)).map_err(in_our_schema::<T>)
                }
            },
            Reading::Of { writer, .. } | Reading::Foreign { writer } => Err(wrong(writer)),
            Reading::Unusable { what } => Err(DecodeError::UnusableSchema { id, what: what.clone() }),
        }
    }
}

impl Reading {
    fn new(text: &str) -> Result<Self, String> {
        let compile =
            |symbols: &ReaderSymbols| WriterSchema::compile(text, symbols).map_err(|error| error.to_string());
        let writer =
            Schema::parse_str(text).map_err(|error| format!("it is not a usable Avro schema: {error}"))?;
        check_cost(&writer)?;
        let plain = compile(&ReaderSymbols::new())?;
        let Some(schema) = built_in_of(plain.full_name()) else { return Ok(Self::Foreign { writer: plain }) };
        let fit = fit(&writer, &OURS[schema as usize - 1])?;
        Ok(Self::Of { schema, writer: compile(&fit.symbols)?, way: fit.way })
    }
}

/// The value may follow its schema and have what ours does not allow, such as null for a required field.
fn in_our_schema<T: AvroRecord>(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::Malformed { at, what } => {
            let what = format!("{what}, reading it as {}", T::SCHEMA.full_name());
            DecodeError::Malformed { at, what }
        }
        other => other,
    }
}

/// For the view for people: a schema that is usable at all.
impl SchemaSource for RegisteredSchema {
    fn writer_schema(&self, id: u32) -> Option<&WriterSchema> {
        match &self.reading {
            Reading::Of { writer, .. } | Reading::Foreign { writer } => (id == self.id).then_some(writer),
            Reading::Unusable { .. } => None,
        }
    }
}

/// By the name without its namespace, as Avro compares names.
fn built_in_of(full_name: &str) -> Option<BuiltIn> {
    let unqualified = |name: &'static str| name.rsplit('.').next();
    let name = full_name.rsplit('.').next();
    BuiltIn::ALL.into_iter().find(|schema| unqualified(schema.full_name()) == name)
}
