//! A value of the wire format as plain JSON, for people and scripts.
//!
//! Walks the writer's schema beside the bytes, because only the schema says which number is a day or an
//! instant. Text is written as it is read, so fields stand in the order of the schema. Nothing is judged: a
//! currency that is none still prints. Never read back by Settle.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_avro_fast::schema::{LogicalType, Record, RegularType, SchemaKey, SchemaMut};
use settle_types::{Day, Timestamp};

use crate::wire::{find_writer, read_datum};
use crate::{BuiltInSchemas, DecodeError, SchemaSource};

/// A value that was written with a built-in schema, as one line of JSON.
///
/// Optional fields are the value or `null`, without the type names of Avro's own JSON; instants are ISO 8601
/// in UTC with microseconds, days `YYYY-MM-DD`; enums their symbols. Fields stand in the order of the schema,
/// the keys of a map are sorted.
///
/// # Errors
/// As [`crate::decode`].
pub fn to_json_string(bytes: &[u8]) -> Result<String, DecodeError> {
    to_json_string_with(&BuiltInSchemas, bytes)
}

/// As [`to_json_string`], with schemas from elsewhere.
///
/// # Errors
/// As [`crate::decode_with`]; also a type that no Settle schema uses (floats, bytes, fixed, unions of more
/// than null and one type) is [`DecodeError::Malformed`].
pub fn to_json_string_with(source: &impl SchemaSource, bytes: &[u8]) -> Result<String, DecodeError> {
    let writer = find_writer(source, bytes)?;
    let mut output = Vec::with_capacity(bytes.len() * 2);
    let root = Node { schema: writer.nodes(), key: SchemaKey::root(), output: &mut output };
    read_datum(writer.codec(), bytes, root)?;
    Ok(String::from_utf8(output).expect("JSON is written from strings and digits, all UTF-8"))
}

/// One place in the schema, and where its JSON goes.
struct Node<'a> {
    schema: &'a SchemaMut,
    key: SchemaKey,
    output: &'a mut Vec<u8>,
}

impl<'a> Node<'a> {
    fn child(&mut self, key: SchemaKey) -> Node<'_> {
        Node { schema: self.schema, key, output: self.output }
    }

    fn write(&mut self, text: impl fmt::Display) {
        write!(self.output, "{text}").expect("memory takes every write");
    }

    fn write_string(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.output, text)
            .expect("a string is JSON, and memory takes every write");
    }

    /// The type beside null in a union of two; `None` for any other union.
    fn optional_type(&self, variants: &[SchemaKey]) -> Option<SchemaKey> {
        let is_null = |key: SchemaKey| matches!(self.schema[key].type_, RegularType::Null);
        match *variants {
            [first, second] if is_null(first) => Some(second),
            [first, second] if is_null(second) => Some(first),
            _ => None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let node = &self.schema[self.key];
        match &node.type_ {
            RegularType::Record(record) => deserializer.deserialize_map(RecordVisitor(self, record)),
            RegularType::Map(map) => deserializer.deserialize_map(EntriesVisitor(self, map.values)),
            RegularType::Array(array) => deserializer.deserialize_seq(ItemsVisitor(self, array.items)),
            // As a number: the decoder's own symbols may be replaced, the writer's are shown.
            RegularType::Enum(symbols) => deserializer.deserialize_u64(SymbolVisitor(self, &symbols.symbols)),
            RegularType::Union(union) => match self.optional_type(&union.variants) {
                Some(some) => deserializer.deserialize_option(OptionalVisitor(self, some)),
                None => Err(D::Error::custom("a union other than null and one type has no plain JSON")),
            },
            RegularType::Null
            | RegularType::Boolean
            | RegularType::Int
            | RegularType::Long
            | RegularType::String => {
                let logical_type = node.logical_type.as_ref();
                deserializer.deserialize_any(ScalarVisitor(self, logical_type))
            }
            RegularType::Float | RegularType::Double | RegularType::Bytes | RegularType::Fixed(_) => Err(
                D::Error::custom("floats, bytes and fixed are in no schema of Settle and have no plain JSON"),
            ),
        }
    }
}

struct RecordVisitor<'a>(Node<'a>, &'a Record);

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let Self(node, record) = &mut self;
        node.write("{");
        for (index, field) in record.fields.iter().enumerate() {
            node.write(if index == 0 { "" } else { "," });
            node.write_string(&field.name);
            node.write(":");
            access.next_key::<IgnoredAny>()?;
            access.next_value_seed(node.child(field.type_))?;
        }
        node.write("}");
        Ok(())
    }
}

struct EntriesVisitor<'a>(Node<'a>, SchemaKey);

impl<'de> Visitor<'de> for EntriesVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    /// Sorted, and the last of equal keys: as `decode` reads the map.
    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let Self(node, values) = &mut self;
        let mut entries = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            let mut output = Vec::new();
            access.next_value_seed(Node { schema: node.schema, key: *values, output: &mut output })?;
            entries.insert(key, output);
        }
        node.write("{");
        for (index, (key, value)) in entries.iter().enumerate() {
            node.write(if index == 0 { "" } else { "," });
            node.write_string(key);
            node.write(":");
            node.output.extend_from_slice(value);
        }
        node.write("}");
        Ok(())
    }
}

struct ItemsVisitor<'a>(Node<'a>, SchemaKey);

impl<'de> Visitor<'de> for ItemsVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let Self(node, items) = &mut self;
        node.write("[");
        let start = node.output.len();
        loop {
            // The comma comes before the element is known to exist, and goes if there is none.
            let before = node.output.len();
            node.write(if before == start { "" } else { "," });
            if access.next_element_seed(node.child(*items))?.is_none() {
                node.output.truncate(before);
                break;
            }
        }
        node.write("]");
        Ok(())
    }
}

struct OptionalVisitor<'a>(Node<'a>, SchemaKey);

impl<'de> Visitor<'de> for OptionalVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null or a value")
    }

    fn visit_none<E: Error>(mut self) -> Result<(), E> {
        self.0.write("null");
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        self.0.child(self.1).deserialize(deserializer)
    }
}

struct SymbolVisitor<'a>(Node<'a>, &'a [String]);

impl Visitor<'_> for SymbolVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the number of a symbol")
    }

    fn visit_u64<E: Error>(mut self, index: u64) -> Result<(), E> {
        let symbol = usize::try_from(index).ok().and_then(|index| self.1.get(index));
        let symbol = symbol.ok_or_else(|| E::custom("an enum's number is beyond its symbols"))?;
        self.0.write_string(symbol);
        Ok(())
    }
}

struct ScalarVisitor<'a>(Node<'a>, Option<&'a LogicalType>);

impl Visitor<'_> for ScalarVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("null, a boolean, a number or a string")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.0.write("null");
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.0.write(value);
        Ok(())
    }

    fn visit_i32<E: Error>(mut self, value: i32) -> Result<(), E> {
        match self.1 {
            Some(LogicalType::Date) => self.0.write_string(&Day::from_days(value).to_string()),
            _ => self.0.write(value),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        match self.1 {
            Some(LogicalType::TimestampMicros) => {
                self.0.write_string(&Timestamp::from_micros(value).to_string());
            }
            _ => self.0.write(value),
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.0.write_string(value);
        Ok(())
    }
}
