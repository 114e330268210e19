//! The Confluent wire format: a zero byte, the schema id as four bytes big-endian, the Avro record.
//!
//! Owns encoding and decoding, and the promise that decoding arbitrary bytes neither panics nor allocates
//! more than a fixed multiple of their length. That holds because strings are cut from the input, which a
//! longer declared length cannot exceed, lists grow as elements are read, and every element is at least one
//! byte (docs/adr/0002-avro-codec.md).

use std::io::BufRead;
use std::marker::PhantomData;

use serde::de::DeserializeSeed;
use serde_avro_fast::Schema;
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use serde_avro_fast::ser::SerializerConfig;

use crate::{AvroRecord, BuiltIn, BuiltInSchemas, DecodeError, SchemaSource, WriterSchema};

/// The first byte of every value.
pub const MAGIC: u8 = 0;

/// Bytes before the Avro record: the magic byte and the schema id.
pub const HEADER_LENGTH: usize = 5;

/// The schema ids that a process writes with: those built in, or those that a registry gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireIds {
    ids: [Option<u32>; BuiltIn::ALL.len()],
}

impl WireIds {
    /// The ids that are built in, for logs without a registry.
    pub const BUILT_IN: Self = Self { ids: [Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7)] };

    /// The ids that a registry gave. A schema that is not named cannot be written.
    pub fn of_registry(ids: impl IntoIterator<Item = (BuiltIn, u32)>) -> Self {
        let mut table = Self { ids: [None; BuiltIn::ALL.len()] };
        for (schema, id) in ids {
            table.ids[schema as usize - 1] = Some(id);
        }
        table
    }

    /// The id that records of a schema are written with; none if the process did not ask for one.
    pub const fn of(&self, schema: BuiltIn) -> Option<u32> {
        self.ids[schema as usize - 1]
    }
}

impl Default for WireIds {
    fn default() -> Self {
        Self::BUILT_IN
    }
}

/// Appends a record in the wire format, with the id of its built-in schema.
pub fn encode<T: AvroRecord>(record: &T, output: &mut Vec<u8>) {
    encode_with(&WireIds::BUILT_IN, record, output);
}

/// Appends a record in the wire format, with the id that the table has for it.
///
/// # Panics
/// If the table has no id for the record: a process publishes the schemas that it writes before it writes.
pub fn encode_with<T: AvroRecord>(ids: &WireIds, record: &T, output: &mut Vec<u8>) {
    let id = ids.of(T::SCHEMA).expect("the schemas that a process writes are published before it writes");
    output.push(MAGIC);
    output.extend_from_slice(&id.to_be_bytes());
    let mut config = SerializerConfig::new(BuiltInSchemas::get(T::SCHEMA).codec());
    serde_avro_fast::to_datum(record, output, &mut config).expect(
        "a record follows its built-in schema (tested for all of them), and memory takes every write",
    );
}

/// Reads a record that was written with a built-in schema.
///
/// # Errors
/// See [`DecodeError`]. Bytes after the end of the record are an error.
pub fn decode<T: AvroRecord>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_with(&BuiltInSchemas, bytes)
}

/// Reads a record whose writer's schema comes from `source`.
///
/// # Errors
/// As [`decode`]; that the source does not have the id is [`DecodeError::UnknownSchema`].
pub fn decode_with<T: AvroRecord>(source: &impl SchemaSource, bytes: &[u8]) -> Result<T, DecodeError> {
    let writer = find_writer(source, bytes)?;
    let expected = T::SCHEMA.full_name();
    if writer.full_name() != expected {
        return Err(DecodeError::WrongSchema { expected, found: writer.full_name().to_owned() });
    }
    read_datum(writer.codec(), bytes, PhantomData)
}

/// Reads a record whose header was read, and names the built-in schema under whatever id.
pub(crate) fn read_own<T: AvroRecord>(bytes: &[u8]) -> Result<T, DecodeError> {
    read_datum(BuiltInSchemas::get(T::SCHEMA).codec(), bytes, PhantomData)
}

/// The schema id that a value names.
///
/// # Errors
/// [`DecodeError::TooShort`] or [`DecodeError::BadMagic`] if the value has no header.
pub fn schema_id(bytes: &[u8]) -> Result<u32, DecodeError> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
        return Err(DecodeError::TooShort { length: bytes.len() });
    };
    let [magic, id @ ..] = *header;
    if magic != MAGIC {
        return Err(DecodeError::BadMagic { found: magic });
    }
    Ok(u32::from_be_bytes(id))
}

pub(crate) fn find_writer<'source>(
    source: &'source impl SchemaSource,
    bytes: &[u8],
) -> Result<&'source WriterSchema, DecodeError> {
    let id = schema_id(bytes)?;
    source.writer_schema(id).ok_or(DecodeError::UnknownSchema { id })
}

/// Reads what follows the header, to the last byte.
pub(crate) fn read_datum<'de, S: DeserializeSeed<'de>>(
    schema: &Schema,
    bytes: &'de [u8],
    seed: S,
) -> Result<S::Value, DecodeError> {
    let datum = &bytes[HEADER_LENGTH..];
    let mut config = DeserializerConfig::new(schema);
    // Elements of a foreign schema could take no bytes at all (an array of null): bound them too.
    config.max_seq_size = datum.len();
    let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
    let result = seed.deserialize(state.deserializer());
    let mut reader = state.into_reader();
    let left = reader.fill_buf().expect("a slice is read without I/O").len();
    let at = bytes.len() - left;
    match result {
        Err(error) => Err(DecodeError::Malformed { at, what: without_value(&error.to_string()) }),
        Ok(_) if left > 0 => Err(DecodeError::TrailingBytes { at, count: left }),
        Ok(value) => Ok(value),
    }
}

/// A message of serde without the value that it quotes, which could be a card number.
fn without_value(message: &str) -> String {
    let quotes_a_value = message.starts_with("invalid value: ") || message.starts_with("invalid type: ");
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quotes_a_value => format!("expected {expected}"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use settle_types::settle::Payout;

    use super::*;

    #[test]
    fn a_value_without_a_usable_header() {
        let cases: [(&[u8], DecodeError); 6] = [
            (&[], DecodeError::TooShort { length: 0 }),
            (&[0, 0, 0, 0], DecodeError::TooShort { length: 4 }),
            (b"{\"payment_id\":1}", DecodeError::BadMagic { found: b'{' }),
            (&[0, 0, 0, 0, 0, 0], DecodeError::UnknownSchema { id: 0 }),
            (&[0, 1, 0, 0, 7, 0], DecodeError::UnknownSchema { id: 0x0100_0007 }),
            (
                &[0, 0, 0, 0, 6, 0],
                DecodeError::WrongSchema {
                    expected: "settle.v1.Payout",
                    found: "settle.v1.LedgerTransaction".to_owned(),
                },
            ),
        ];
        for (bytes, expected) in cases {
            let found = decode::<Payout>(bytes);
            assert_eq!(found.as_ref().map_err(DecodeError::reason_code), Err(expected.reason_code()));
            assert_eq!(found, Err(expected));
        }
    }

    #[test]
    fn the_table_of_ids_is_what_a_value_names() {
        for schema in BuiltIn::ALL {
            assert_eq!(WireIds::default().of(schema), Some(schema.id()));
        }
        let ids = WireIds::of_registry([(BuiltIn::Payout, 0x0102_0304)]);
        assert_eq!(ids.of(BuiltIn::PaymentResult), None);
        let built_in = [0, 0, 0, 0, 7, 2, b'p', 2, b'b', 2, b'm', 2, 6, b'C', b'Z', b'K', 2, 2];
        let payout: Payout = decode(&built_in).expect("a payout");
        let mut written = Vec::new();
        encode_with(&ids, &payout, &mut written);
        assert_eq!(written, [&[0, 1, 2, 3, 4], &built_in[HEADER_LENGTH..]].concat());
    }

    #[test]
    fn malformed_says_where() {
        // A payout whose first string declares three bytes and has two.
        let error = decode::<Payout>(&[0, 0, 0, 0, 7, 6, b'a', b'b']).expect_err("truncated");
        assert!(matches!(error, DecodeError::Malformed { at: 6, .. }), "{error:?}");
        assert_eq!(error.reason_code(), settle_types::reason::UNDECODABLE);
    }

    #[test]
    fn a_message_does_not_quote_the_value() {
        let cases = [
            (
                r#"invalid value: string "4111, expected x", expected three capital letters"#,
                "expected three capital letters",
            ),
            ("invalid type: integer `4111`, expected a string", "expected a string"),
            ("missing field `currency`", "missing field `currency`"),
        ];
        for (message, expected) in cases {
            assert_eq!(without_value(message), expected);
        }
    }
}
