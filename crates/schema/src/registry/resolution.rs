//! How records of a writer's schema become our records: Avro's resolution rules, decided once a schema.
//!
//! Owns the comparison of a writer's schema with ours, field by field. The codec of the hot path reads by field
//! name and without a reader's schema; this module says for which schemas that is the same as Avro's
//! resolution ([`Way::ByName`]), for which the branches of unions have to be looked through as well
//! ([`Way::ByBranch`]), and what is in the way of all others. Must not know where a schema comes from.
//!
//! Stricter than the specification in two points, both about money and time: a logical type that both sides
//! name must be the same (a `timestamp-millis` read as microseconds is off a thousandfold, and nothing in the
//! bytes says so), and every branch of a writer's union but null must be readable.

use apache_avro::Schema;
use apache_avro::schema::{Name, NamesRef, RecordSchema, ResolvedSchema, UnionSchema, UuidSchema};

use crate::source::ReaderSymbols;

/// How a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With the compiled built-in schema: the writer's is the same, byte for byte.
    Same,
    /// With the writer's schema, into our record by field name.
    ByName,
    /// By field name, with the branches of unions looked through.
    ByBranch,
}

/// How a writer's schema and ours fit.
#[derive(Debug)]
pub(super) struct Fit {
    /// How a record is read.
    pub(super) way: Way,
    /// For each enum of the writer that is read: the symbols that we know.
    pub(super) symbols: ReaderSymbols,
}

/// Compares a writer's schema with ours.
///
/// # Errors
/// In words, what no record could be read across, with the path of its field.
pub(super) fn fit(writer: &Schema, reader: &Schema) -> Result<Fit, String> {
    let names = |schema| ResolvedSchema::new(schema).map_err(|error| error.to_string());
    let writer_names = names(writer)?;
    let reader_names = names(reader)?;
    let mut comparison = Comparison {
        writer_names: writer_names.get_names(),
        reader_names: reader_names.get_names(),
        symbols: ReaderSymbols::new(),
        has_other_bytes: false,
        has_branches: false,
    };
    comparison.compare("the record", writer, reader)?;
    let way = if comparison.has_branches {
        Way::ByBranch
    } else if comparison.has_other_bytes {
        Way::ByName
    } else {
        Way::Same
    };
    Ok(Fit { way, symbols: comparison.symbols })
}

struct Comparison<'a> {
    writer_names: &'a NamesRef<'a>,
    reader_names: &'a NamesRef<'a>,
    symbols: ReaderSymbols,
    /// Whether any part is written in other bytes, or in another place, than ours. (Equal canonical forms say the
    /// same, but the library's function for it panics on some schemas that it parses.)
    has_other_bytes: bool,
    /// Whether the codec would take branches of a union for variants of an enum.
    has_branches: bool,
}

impl Comparison<'_> {
    /// Goes as deep as the reader's schema, which does not contain itself; the writer's may.
    fn compare(&mut self, path: &str, writer: &Schema, reader: &Schema) -> Result<(), String> {
        let writer = target(writer, self.writer_names)?;
        let reader = target(reader, self.reader_names)?;
        match (writer, reader) {
            (Schema::Union(writer), Schema::Union(reader)) => self.compare_unions(path, writer, reader),
            (Schema::Union(writer), _) => self.compare_with_required(path, writer, reader),
            (_, Schema::Union(reader)) => self.compare_with_optional(path, writer, reader),
            (Schema::Record(writer), Schema::Record(reader)) => self.compare_records(path, writer, reader),
            (Schema::Enum(writer), Schema::Enum(reader)) => {
                check_names(path, &writer.name, &reader.name)?;
                if reader.default.is_none() {
                    return Err(format!("{path}: our enum has no default"));
                }
                self.has_other_bytes |= writer.symbols != reader.symbols;
                self.symbols.insert(writer.name.fullname(None), reader.symbols.clone());
                Ok(())
            }
            (Schema::Array(writer), Schema::Array(reader)) => {
                self.compare(&format!("{path}[]"), &writer.items, &reader.items)
            }
            (Schema::Map(writer), Schema::Map(reader)) => {
                self.compare(&format!("{path}[]"), &writer.types, &reader.types)
            }
            _ => {
                self.has_other_bytes |= compare_scalars(path, writer, reader)? == Bytes::Other;
                Ok(())
            }
        }
    }

    fn compare_records(
        &mut self,
        path: &str,
        writer: &RecordSchema,
        reader: &RecordSchema,
    ) -> Result<(), String> {
        check_names(path, &writer.name, &reader.name)?;
        let written_names = writer.fields.iter().map(|field| &field.name);
        self.has_other_bytes |= !written_names.eq(reader.fields.iter().map(|field| &field.name));
        for field in &reader.fields {
            let path = format!("{path}.{}", field.name);
            match writer.fields.iter().find(|candidate| candidate.name == field.name) {
                Some(written) => self.compare(&path, &written.schema, &field.schema)?,
                None if field.default.is_some() => {}
                None => return Err(format!("{path} is missing and has no default")),
            }
        }
        Ok(())
    }

    fn compare_unions(
        &mut self,
        path: &str,
        writer: &UnionSchema,
        reader: &UnionSchema,
    ) -> Result<(), String> {
        let present = optional_type(path, reader)?;
        for branch in present_branches(writer) {
            self.compare(path, branch, present)?;
        }
        let is_null = |branch: &Schema| matches!(branch, Schema::Null);
        let written = writer.variants().iter().map(is_null);
        self.has_other_bytes |= !written.eq(reader.variants().iter().map(is_null));
        // Reading by name tells null from the one other type; it takes more branches for the names of variants.
        let is_optional = writer.variants().len() == 2 && present_branches(writer).count() == 1;
        self.has_branches |= !is_optional;
        Ok(())
    }

    /// Null, or what an optional field has when it is there.
    fn compare_with_optional(
        &mut self,
        path: &str,
        writer: &Schema,
        reader: &UnionSchema,
    ) -> Result<(), String> {
        self.has_other_bytes = true;
        match writer {
            Schema::Null => Ok(()),
            _ => self.compare(path, writer, optional_type(path, reader)?),
        }
    }

    /// Null for a required field is no difference of the schemas: the record that has it is refused.
    fn compare_with_required(
        &mut self,
        path: &str,
        writer: &UnionSchema,
        reader: &Schema,
    ) -> Result<(), String> {
        self.has_other_bytes = true;
        let mut branches = 0;
        for branch in present_branches(writer) {
            self.compare(path, branch, reader)?;
            branches += 1;
        }
        if branches == 0 {
            return Err(format!("{path} is always null, expected {}", type_name(reader)));
        }
        // Reading an enum by name takes the branch of a union for the symbol.
        self.has_branches |= branches > 1 || matches!(reader, Schema::Enum(_));
        Ok(())
    }
}

fn target<'a>(schema: &'a Schema, names: &NamesRef<'a>) -> Result<&'a Schema, String> {
    match schema {
        Schema::Ref { name } => names.get(name).copied().ok_or_else(|| format!("{name} is not defined")),
        _ => Ok(schema),
    }
}

fn present_branches(union: &UnionSchema) -> impl Iterator<Item = &Schema> {
    union.variants().iter().filter(|branch| !matches!(branch, Schema::Null))
}

/// The one type beside null, as in every union of our schemas.
fn optional_type<'a>(path: &str, union: &'a UnionSchema) -> Result<&'a Schema, String> {
    match union.variants() {
        [Schema::Null, present] | [present, Schema::Null] => Ok(present),
        _ => Err(format!("{path}: our union is not null and one type")),
    }
}

/// Avro compares names without their namespaces.
fn check_names(path: &str, writer: &Name, reader: &Name) -> Result<(), String> {
    if writer.name() == reader.name() {
        return Ok(());
    }
    Err(format!("{path} is {}, expected {}", writer.name(), reader.name()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Same,
    Other,
}

fn compare_scalars(path: &str, writer: &Schema, reader: &Schema) -> Result<Bytes, String> {
    let differs = || format!("{path} is {}, expected {}", type_name(writer), type_name(reader));
    let (written, meant) = match (scalar(writer), scalar(reader)) {
        (Some(written), Some(meant)) => (written, meant),
        _ => return Err(differs()),
    };
    let is_readable = written.base == meant.base
        || (written.base == Base::Int && meant.base == Base::Long)
        || (written.base == Base::Bytes && meant.base == Base::String);
    // A plain number may be what we take it for; one that says that it is something else is not.
    let is_same_unit = written.unit.is_none() || written.unit == meant.unit;
    match is_readable && is_same_unit {
        true if written.base == meant.base => Ok(Bytes::Same),
        true => Ok(Bytes::Other),
        false => Err(differs()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Null,
    Boolean,
    Int,
    Long,
    Bytes,
    String,
}

struct Scalar {
    base: Base,
    unit: Option<&'static str>,
}

/// What the schemas of Settle are made of. Floats, fixed and decimals are in none, so nothing reads them.
fn scalar(schema: &Schema) -> Option<Scalar> {
    let (base, unit) = match schema {
        Schema::Null => (Base::Null, None),
        Schema::Boolean => (Base::Boolean, None),
        Schema::Int => (Base::Int, None),
        Schema::Date => (Base::Int, Some("date")),
        Schema::TimeMillis => (Base::Int, Some("time-millis")),
        Schema::Long => (Base::Long, None),
        Schema::TimeMicros => (Base::Long, Some("time-micros")),
        Schema::TimestampMillis => (Base::Long, Some("timestamp-millis")),
        Schema::TimestampMicros => (Base::Long, Some("timestamp-micros")),
        Schema::TimestampNanos => (Base::Long, Some("timestamp-nanos")),
        Schema::LocalTimestampMillis => (Base::Long, Some("local-timestamp-millis")),
        Schema::LocalTimestampMicros => (Base::Long, Some("local-timestamp-micros")),
        Schema::LocalTimestampNanos => (Base::Long, Some("local-timestamp-nanos")),
        Schema::Bytes => (Base::Bytes, None),
        // Text in a form of its own, and text all the same.
        Schema::String | Schema::Uuid(UuidSchema::String) => (Base::String, None),
        _ => return None,
    };
    Some(Scalar { base, unit })
}

fn type_name(schema: &Schema) -> String {
    if let Some(Scalar { base, unit }) = scalar(schema) {
        let base = match base {
            Base::Null => "null",
            Base::Boolean => "boolean",
            Base::Int => "int",
            Base::Long => "long",
            Base::Bytes => "bytes",
            Base::String => "string",
        };
        return unit.map_or_else(|| base.to_owned(), |unit| format!("{base} ({unit})"));
    }
    match schema.name() {
        Some(name) => format!("the type {}", name.name()),
        None => format!("{:?}", apache_avro::schema::SchemaKind::from(schema)).to_lowercase(),
    }
}
