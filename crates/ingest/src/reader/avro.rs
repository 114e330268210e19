//! Avro object container files, by field name.
//!
//! The schema of the file is checked before the first record: a field that cannot fit fails the file at once, and
//! a hostile schema is never decoded.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};

use apache_avro::schema::{Name, RecordSchema, Schema};
use apache_avro::types::Value;
use settle_types::Timestamp;

use super::error::ReadError;
use super::record::{self, Node};
use super::{MAX_ROW_BYTES, Row, RowError};
use crate::field::{self, Field, Problem};
use crate::mask::masked;
use crate::nearest;
use crate::rejects::{Place, Reject};

/// Longest block of a container file that is decoded, 64 MiB: writers flush at 16 KiB to a few MiB.
///
/// The decoder keeps one such limit per process; the first caller sets it.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// Bytes of an empty block: its count and size (a byte each) and the marker of the file.
const EMPTY_BLOCK_BYTES: u64 = 18;

/// The records of a container file.
pub(super) struct AvroRequests {
    file: String,
    input: SharedInput,
    records: apache_avro::Reader<'static, SharedInput>,
    read: u64,
}

impl AvroRequests {
    /// Reads the header and checks the schema.
    pub(super) fn open(file: &str, reader: Box<dyn Read + Send>) -> Result<Self, ReadError> {
        apache_avro::util::max_allocation_bytes(MAX_BLOCK_BYTES);
        let input = SharedInput::new(reader);
        let opened = apache_avro::Reader::new(input.clone());
        if let Some(source) = input.take_error() {
            return Err(ReadError::Unreadable { file: file.to_owned(), source });
        }
        let records = opened.map_err(|error| ReadError::NotAvro {
            file: file.to_owned(),
            problem: masked(&error.to_string()),
        })?;
        check_schema(records.writer_schema())
            .map_err(|problem| ReadError::AvroSchema { file: file.to_owned(), problem })?;
        Ok(Self { file: file.to_owned(), input, records, read: 0 })
    }

    /// The next record.
    pub(super) fn next_row(&mut self) -> Option<Row> {
        let value = match self.next_value() {
            Ok(value) => value?,
            Err(error) => return Some(Err(RowError::Fatal(error))),
        };
        self.read += 1;
        let raw = to_json(&value);
        let converted = match text_bytes(&value) {
            ..=MAX_ROW_BYTES => record::to_request(to_node(value)),
            _ => Err(Problem::of_row(format!("a record of at most {MAX_ROW_BYTES} bytes"))),
        };
        Some(converted.map_err(|problem| self.reject(problem, &raw)))
    }

    fn reject(&self, problem: Problem, raw: &serde_json::Value) -> RowError {
        let mut raw = raw.to_string().into_bytes();
        let is_cut = raw.len() > MAX_ROW_BYTES;
        raw.truncate(MAX_ROW_BYTES);
        let mut reject = Reject::new(&self.file, Place::Record(self.read), problem, raw);
        reject.raw_truncated = is_cut;
        RowError::Rejected(reject)
    }

    /// The decoder ends at an empty block, and takes the beginning of a cut block for the end of the file: both
    /// would drop records without a word.
    fn next_value(&mut self) -> Result<Option<Value>, ReadError> {
        loop {
            let before = self.input.position();
            match self.records.next() {
                Some(Ok(value)) if is_beyond_block(&value, self.records.writer_schema()) => {
                    return Err(self.failed("a block ends within a record"));
                }
                Some(Ok(value)) => return Ok(Some(value)),
                Some(Err(error)) => return Err(self.failed(&error.to_string())),
                None => {}
            }
            let consumed = self.input.position() - before;
            if self.input.is_at_end() {
                if let Some(source) = self.input.take_error() {
                    return Err(ReadError::Unreadable { file: self.file.clone(), source });
                }
                let is_cut = consumed > 0 && consumed < EMPTY_BLOCK_BYTES;
                return if is_cut { Err(self.failed("the last block is cut")) } else { Ok(None) };
            }
            if consumed == 0 {
                return Err(self.failed("a block cannot be read"));
            }
        }
    }

    fn failed(&self, problem: &str) -> ReadError {
        match self.input.take_error() {
            Some(source) => ReadError::Unreadable { file: self.file.clone(), source },
            None => ReadError::AvroDamaged {
                file: self.file.clone(),
                records: self.read,
                problem: masked(problem),
            },
        }
    }
}

/// The decoder takes the end of a block for nulls, and so makes records without end of a block that claims more than
/// it holds. A null that the schema does not allow, or nothing but nulls, is such an end: no request looks like that.
fn is_beyond_block(value: &Value, schema: &Schema) -> bool {
    let (Value::Record(fields), Schema::Record(record)) = (value, schema) else { return true };
    let mut has_value = false;
    for ((_, value), record_field) in fields.iter().zip(&record.fields) {
        let is_impossible = match (value, &record_field.schema) {
            (Value::Null, schema) => *schema != Schema::Null,
            (Value::Union(index, inner), Schema::Union(union)) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                **inner == Value::Null && union.variants().get(index) != Some(&Schema::Null)
            }
            _ => false,
        };
        if is_impossible {
            return true;
        }
        let is_null = match value {
            Value::Union(_, inner) => **inner == Value::Null,
            value => *value == Value::Null,
        };
        has_value |= !is_null;
    }
    !has_value
}

/// The input of the decoder, which this module can also ask for its position, end and errors.
#[derive(Clone)]
struct SharedInput(Arc<Mutex<Input>>);

struct Input {
    reader: BufReader<Box<dyn Read + Send>>,
    position: u64,
    error: Option<io::Error>,
}

impl SharedInput {
    fn new(reader: Box<dyn Read + Send>) -> Self {
        Self(Arc::new(Mutex::new(Input { reader: BufReader::new(reader), position: 0, error: None })))
    }

    fn with<T>(&self, action: impl FnOnce(&mut Input) -> T) -> T {
        action(&mut self.0.lock().expect("no holder of this lock panics"))
    }

    fn position(&self) -> u64 {
        self.with(|input| input.position)
    }

    fn take_error(&self) -> Option<io::Error> {
        self.with(|input| input.error.take())
    }

    /// True where no byte is left; also after a failed read, whose error is then to be taken.
    fn is_at_end(&self) -> bool {
        self.with(|input| {
            if input.error.is_some() {
                return true;
            }
            match input.reader.fill_buf() {
                Ok(rest) => rest.is_empty(),
                Err(error) => {
                    input.error = Some(error);
                    true
                }
            }
        })
    }
}

impl Read for SharedInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|input| match input.reader.read(buffer) {
            Ok(count) => {
                input.position += u64::try_from(count).expect("a buffer is smaller than 64 bits");
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // The decoder wraps errors in text of its own: the cause is kept for the caller.
                let for_decoder = io::Error::from(error.kind());
                input.error = Some(error);
                Err(for_decoder)
            }
        })
    }
}

fn check_schema(schema: &Schema) -> Result<(), String> {
    let Schema::Record(record) = schema else {
        return Err("expected records at the top".to_owned());
    };
    let mut enums = Vec::new();
    for record_field in &record.fields {
        let name = record_field.name.as_str();
        let is_ok = match name {
            "card" => fits_card(&record_field.schema, &mut enums)?,
            "metadata" => fits_metadata(&record_field.schema),
            _ => match Field::find(name) {
                Some(found) => fits(found, &record_field.schema, &mut enums),
                None => {
                    let hint = nearest::hint(name, &field::top_names());
                    return Err(format!("field \"{}\" is not one of a request; {hint}", masked(name)));
                }
            },
        };
        if !is_ok {
            return Err(format!("field \"{name}\" has a type that the field of a request cannot take"));
        }
    }
    for required in field::REQUIRED {
        if !has_field(record, required.name()) {
            return Err(format!("field \"{}\" is missing: every request needs it", required.name()));
        }
    }
    Ok(())
}

fn has_field(record: &RecordSchema, name: &str) -> bool {
    record.fields.iter().any(|record_field| record_field.name == name)
}

/// The variants of a union without null; any other schema is its own only variant.
fn variants(schema: &Schema) -> Vec<&Schema> {
    match schema {
        Schema::Union(union) => union.variants().iter().filter(|variant| **variant != Schema::Null).collect(),
        Schema::Null => Vec::new(),
        other => vec![other],
    }
}

/// True if each variant is of a type that the field takes. Enums are collected, since a later field may refer to one.
fn fits(found: Field, schema: &Schema, enums: &mut Vec<Name>) -> bool {
    for variant in variants(schema) {
        let is_ok = match (found, variant) {
            (Field::AmountMinor | Field::Priority, Schema::Int | Schema::Long) => true,
            (Field::AmountMinor | Field::Priority, _) => false,
            (
                Field::RequestedAt | Field::ExecuteAt,
                Schema::Long | Schema::String | Schema::TimestampMillis | Schema::TimestampMicros,
            ) => true,
            (Field::RequestedAt | Field::ExecuteAt, _) => false,
            (_, Schema::String) => true,
            (_, Schema::Enum(symbols)) => {
                enums.push(symbols.name.clone());
                true
            }
            (_, Schema::Ref { name }) => enums.contains(name),
            _ => false,
        };
        if !is_ok {
            return false;
        }
    }
    true
}

fn fits_card(schema: &Schema, enums: &mut Vec<Name>) -> Result<bool, String> {
    for variant in variants(schema) {
        let Schema::Record(card) = variant else { return Ok(false) };
        for card_field in &card.fields {
            let Some(found) = Field::find_in_card(&card_field.name) else {
                let hint = nearest::hint(&card_field.name, &field::card_names());
                return Err(format!(
                    "field \"card.{}\" is not one of a request; {hint}",
                    masked(&card_field.name)
                ));
            };
            if !fits(found, &card_field.schema, enums) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn fits_metadata(schema: &Schema) -> bool {
    variants(schema).into_iter().all(|variant| match variant {
        Schema::Map(map) => variants(&map.types).into_iter().all(|value| *value == Schema::String),
        _ => false,
    })
}

fn to_node(value: Value) -> Node {
    match value {
        Value::Null => Node::Absent,
        Value::String(text) | Value::Enum(_, text) => Node::Text(text),
        Value::Int(integer) => Node::Integer(integer.into()),
        Value::Long(integer) => Node::Integer(integer),
        Value::TimestampMicros(micros) => Node::Instant(Timestamp::from_micros(micros)),
        Value::TimestampMillis(millis) => Timestamp::from_millis(millis).map_or_else(
            || Node::Other { kind: "a time beyond the range of microseconds", shown: millis.to_string() },
            Node::Instant,
        ),
        Value::Union(_, inner) => to_node(*inner),
        Value::Record(fields) => {
            Node::Pairs(fields.into_iter().map(|(name, inner)| (name, to_node(inner))).collect())
        }
        Value::Map(entries) => {
            let mut pairs: Vec<(String, Node)> =
                entries.into_iter().map(|(name, inner)| (name, to_node(inner))).collect();
            // The decoder's map has no order: sorted, the same file gives the same reject.
            pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            Node::Pairs(pairs)
        }
        _ => Node::Other { kind: "a value of another type", shown: String::new() },
    }
}

/// Bytes of the texts of a record: its other values are small.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) | Value::Enum(_, text) => text.len(),
        Value::Union(_, inner) => text_bytes(inner),
        Value::Record(fields) => fields.iter().map(|(_, inner)| text_bytes(inner)).sum(),
        Value::Map(entries) => entries.iter().map(|(name, inner)| name.len() + text_bytes(inner)).sum(),
        _ => 0,
    }
}

/// The record for the rejects file.
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) | Value::Enum(_, text) => text.as_str().into(),
        Value::Int(integer) => (*integer).into(),
        Value::Long(integer) | Value::TimestampMicros(integer) | Value::TimestampMillis(integer) => {
            (*integer).into()
        }
        Value::Union(_, inner) => to_json(inner),
        Value::Record(fields) => fields.iter().map(|(name, inner)| (name.clone(), to_json(inner))).collect(),
        Value::Map(entries) => entries.iter().map(|(name, inner)| (name.clone(), to_json(inner))).collect(),
        _ => serde_json::Value::Null,
    }
}
