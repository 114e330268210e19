//! Where the schema of a writer comes from, and how it is made ready for reading.
//!
//! Owns the one rule of Avro's schema resolution that deserialising by field name leaves open: a symbol of an
//! enum that the reader does not know is read as the reader's default, `UNKNOWN`. The others follow from
//! serde: a field that only the writer has is skipped, one that only the reader has takes its serde default.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_avro_fast::Schema;
use serde_avro_fast::schema::{RegularType, SchemaMut};

use crate::BuiltIn;

/// The default of every enum: what a reader sees for a symbol that it does not know.
const UNKNOWN_SYMBOL: &str = "UNKNOWN";

/// A schema that records were written with, ready for reading them.
#[derive(Debug)]
pub struct WriterSchema {
    full_name: String,
    /// As written: for the view for people, which shows the writer's own symbols.
    nodes: SchemaMut,
    /// For decoding: symbols that this version does not know are replaced.
    codec: Schema,
}

/// The text of a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not a usable Avro schema, expected a record of known types: {what}")]
pub struct InvalidSchema {
    what: String,
}

impl WriterSchema {
    /// Makes a schema ready that may be older or newer than the built-in one of the same name.
    ///
    /// # Errors
    /// If the text is not an Avro schema, or not one of a record.
    pub fn parse(text: &str) -> Result<Self, InvalidSchema> {
        Self::compile(text, &READER_SYMBOLS)
    }

    /// `reader` has the symbols that this version knows, by the writer's full name of the enum.
    pub(crate) fn compile(text: &str, reader: &ReaderSymbols) -> Result<Self, InvalidSchema> {
        let invalid = |error: &dyn std::fmt::Display| InvalidSchema { what: error.to_string() };
        let nodes: SchemaMut = text.parse().map_err(|error| invalid(&error))?;
        let RegularType::Record(record) = &nodes.root().type_ else {
            return Err(invalid(&"its outermost type is not a record"));
        };
        let full_name = record.name.fully_qualified_name().to_owned();
        let mut resolved = nodes.clone();
        replace_unknown_symbols(&mut resolved, reader);
        // What a number means is the reader's business, and a field that nobody reads must not fail for a
        // logical type that the codec cannot convert (a decimal of more than 16 bytes).
        for node in resolved.nodes_mut() {
            node.logical_type = None;
        }
        let codec = resolved.freeze().map_err(|error| invalid(&error))?;
        Ok(Self { full_name, nodes, codec })
    }

    /// Full name of the record, with its namespace.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    pub(crate) fn nodes(&self) -> &SchemaMut {
        &self.nodes
    }

    pub(crate) fn codec(&self) -> &Schema {
        &self.codec
    }
}

/// Symbols that this version knows, by full name of the enum.
pub(crate) type ReaderSymbols = BTreeMap<String, Vec<String>>;

static READER_SYMBOLS: LazyLock<ReaderSymbols> = LazyLock::new(|| {
    let mut symbols = BTreeMap::new();
    for schema in BuiltIn::ALL {
        let nodes: SchemaMut = schema.text().parse().expect("built-in schemas parse: each is tested");
        for node in nodes.nodes() {
            if let RegularType::Enum(known) = &node.type_ {
                symbols.insert(known.name.fully_qualified_name().to_owned(), known.symbols.clone());
            }
        }
    }
    symbols
});

fn replace_unknown_symbols(schema: &mut SchemaMut, reader: &ReaderSymbols) {
    for node in schema.nodes_mut() {
        let RegularType::Enum(written) = &mut node.type_ else { continue };
        let Some(known) = reader.get(written.name.fully_qualified_name()) else { continue };
        for symbol in &mut written.symbols {
            if !known.contains(symbol) {
                UNKNOWN_SYMBOL.clone_into(symbol);
            }
        }
    }
}

/// Gives the writer's schema for the id that a value names.
///
/// It is asked once a record, in the worker's loop, and must not block: what fetches schemas from elsewhere
/// does so before the batch is decoded, and answers here from memory.
pub trait SchemaSource {
    /// The schema with this id; `None` if there is none.
    fn writer_schema(&self, id: u32) -> Option<&WriterSchema>;
}

/// The schemas of `schemas/`, under their built-in ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInSchemas;

static COMPILED: LazyLock<[WriterSchema; BuiltIn::ALL.len()]> = LazyLock::new(|| {
    let compile = |schema: BuiltIn| WriterSchema::compile(schema.text(), &ReaderSymbols::new());
    BuiltIn::ALL.map(|schema| compile(schema).expect("built-in schemas compile: each is tested"))
});

impl BuiltInSchemas {
    /// The compiled form of a built-in schema.
    pub(crate) fn get(schema: BuiltIn) -> &'static WriterSchema {
        &COMPILED[schema as usize - 1]
    }
}

impl SchemaSource for BuiltInSchemas {
    fn writer_schema(&self, id: u32) -> Option<&WriterSchema> {
        BuiltIn::from_id(id).map(Self::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_compiles_under_its_own_name() {
        for schema in BuiltIn::ALL {
            let found = BuiltInSchemas.writer_schema(schema.id()).map(WriterSchema::full_name);
            assert_eq!(found, Some(schema.full_name()));
        }
        assert!(BuiltInSchemas.writer_schema(8).is_none());
    }

    #[test]
    fn what_is_not_a_record_schema_is_refused() {
        let cases = [
            ("", "not JSON"),
            (r#""string""#, "not a record"),
            (r#"{"type": "record", "name": "R"}"#, "no fields"),
            (
                r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Missing"}]}"#,
                "unknown type",
            ),
        ];
        for (text, what) in cases {
            assert!(WriterSchema::parse(text).is_err(), "{what}");
        }
    }
}
