//! Random writers' schemas against a plain model of Avro's resolution rules (Avro 1.12 specification, "Schema
//! Resolution"): whatever way a schema is read, the record is that of the model.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, NamesRef, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value as Json, json};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};

use super::super::branches::ByBranch;
use super::super::resolution::{Way, fit};
use crate::wire::read_datum;
use crate::{AvroRecord, BuiltIn, DecodeError, RegisteredSchema, WriterSchema};

const ID: u32 = 700;

struct Chance(TestRng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u32()).expect("32 bits") % bound
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn integer(&mut self) -> i64 {
        let bits = i64::from_ne_bytes(self.0.next_u64().to_ne_bytes());
        bits >> self.below(64)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in 1..items.len() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// Changes of a schema that a reader may meet. `rate` is the mean number of places between two changes.
struct Changes<'a> {
    chance: &'a mut Chance,
    rate: usize,
}

impl Changes<'_> {
    fn change(&mut self, schema: &mut Json) {
        self.change_inside(schema);
        if self.chance.one_in(self.rate) {
            self.replace(schema);
        }
    }

    fn change_inside(&mut self, schema: &mut Json) {
        match schema {
            Json::Array(branches) => {
                // A branch is not wrapped in a union itself.
                branches.iter_mut().for_each(|branch| self.change_inside(branch));
                if self.chance.one_in(self.rate) {
                    self.chance.shuffle(branches);
                }
            }
            Json::Object(members) => {
                if let Some(Json::Array(fields)) = members.get_mut("fields") {
                    self.change_fields(fields);
                } else if let Some(Json::Array(symbols)) = members.get_mut("symbols") {
                    self.change_symbols(symbols);
                    members.remove("default");
                } else if let Some(inner) = members.get_mut("items") {
                    self.change(inner);
                } else if let Some(inner) = members.get_mut("values") {
                    self.change(inner);
                }
            }
            _ => {}
        }
    }

    fn change_fields(&mut self, fields: &mut Vec<Json>) {
        let mut kept = Vec::with_capacity(fields.len());
        for mut field in fields.drain(..) {
            if field.get("default").is_some() && self.chance.one_in(self.rate) {
                continue;
            }
            // What a writer would take for a missing value is not the reader's business.
            field.as_object_mut().expect("a field").remove("default");
            self.change(&mut field["type"]);
            kept.push(field);
        }
        if self.chance.one_in(self.rate) {
            let extra = [
                json!("double"),
                json!({"type": "array", "items": {"type": "map", "values": "bytes"}}),
                json!({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 2}),
                json!(["int", "string", "null", {"type": "array", "items": "long"}]),
                json!({"type": "string", "logicalType": "uuid"}),
            ];
            let extra = extra[self.chance.below(extra.len())].clone();
            kept.push(json!({"name": "an_extra_field", "type": extra}));
        }
        if self.chance.one_in(self.rate) {
            self.chance.shuffle(&mut kept);
        }
        *fields = kept;
    }

    fn change_symbols(&mut self, symbols: &mut Vec<Json>) {
        if self.chance.one_in(self.rate) {
            symbols.push(json!("A_NEW_ONE"));
            symbols.push(json!("ANOTHER_NEW_ONE"));
        }
        if self.chance.one_in(self.rate) {
            self.chance.shuffle(symbols);
        }
        if symbols.len() > 1 && self.chance.one_in(self.rate) {
            symbols.pop();
        }
    }

    fn replace(&mut self, schema: &mut Json) {
        let base = match &*schema {
            Json::String(name) => name.clone(),
            Json::Object(members) => members["type"].as_str().unwrap_or_default().to_owned(),
            _ => "union".to_owned(),
        };
        let mut options = match base.as_str() {
            "long" => vec![
                json!("long"),
                json!("int"),
                json!(["null", "int", "long"]),
                json!(["long", "int"]),
                json!({"type": "long", "logicalType": "no-such-type"}),
            ],
            "int" => vec![json!("int"), json!({"type": "int", "logicalType": "no-such-type"})],
            "string" => vec![
                json!("bytes"),
                json!({"type": "string", "logicalType": "uuid"}),
                json!({"type": "string", "avro.java.string": "String"}),
                json!(["string", "bytes"]),
                json!(["null", "bytes"]),
                json!(["bytes", "null", "string"]),
            ],
            "union" => {
                let branches = schema.as_array().expect("a union");
                let present = branches.iter().find(|branch| **branch != "null").expect("one of a type");
                vec![present.clone(), json!([present.clone()]), json!([present.clone(), "null"])]
            }
            _ => Vec::new(),
        };
        if base != "union" {
            let same = schema.clone();
            options.extend([json!(["null", same.clone()]), json!([same.clone(), "null"]), json!([same])]);
        }
        *schema = options[self.chance.below(options.len())].clone();
    }
}

/// So that random values need not be valid dates, decimals and identifiers. Only where a schema has types: names of
/// fields and defaults stay as they are.
fn remove_logical_types(schema: &mut Json) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(remove_logical_types),
        Json::Object(members) => {
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

/// A random value of a schema without logical types. Text is of a kind that our records take, mostly.
fn any_value(schema: &Schema, field: &str, names: &NamesRef<'_>, chance: &mut Chance) -> Value {
    match schema {
        Schema::Ref { name } => any_value(names[name], field, names, chance),
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(chance.one_in(2)),
        Schema::Int => Value::Int(i32::try_from(chance.integer() >> 32).expect("32 bits")),
        Schema::Long => Value::Long(chance.integer()),
        Schema::Double => Value::Double(0.5),
        Schema::String => Value::String(any_text(field, chance)),
        Schema::Bytes => Value::Bytes(any_text(field, chance).into_bytes()),
        Schema::Enum(symbols) => {
            let index = chance.below(symbols.symbols.len());
            Value::Enum(u32::try_from(index).expect("few symbols"), symbols.symbols[index].clone())
        }
        Schema::Union(union) => {
            let index = chance.below(union.variants().len());
            let value = any_value(&union.variants()[index], field, names, chance);
            Value::Union(u32::try_from(index).expect("few branches"), Box::new(value))
        }
        Schema::Array(array) => Value::Array(
            (0..chance.below(3)).map(|_| any_value(&array.items, field, names, chance)).collect(),
        ),
        Schema::Map(map) => {
            let entry = |_| (any_text("key", chance), any_value(&map.types, field, names, chance));
            Value::Map((0..2).map(entry).collect())
        }
        Schema::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| (field.name.clone(), any_value(&field.schema, &field.name, names, chance)))
                .collect(),
        ),
        other => panic!("no schema of the tests has {other:?}"),
    }
}

fn any_text(field: &str, chance: &mut Chance) -> String {
    if field == "currency" && !chance.one_in(20) {
        return ["CZK", "EUR"][chance.below(2)].to_owned();
    }
    if field.ends_with("hash") {
        return "0123456789abcdef".repeat(4);
    }
    ["", "a", "řeka", "m-1042", "2026-03-02"][chance.below(5)].to_owned()
}

/// The rules, value by value: none if the specification calls it an error.
struct Model<'a> {
    writer: &'a NamesRef<'a>,
    reader: &'a NamesRef<'a>,
}

impl Model<'_> {
    fn resolve(&self, value: &Value, writer: &Schema, reader: &Schema) -> Option<Value> {
        if let Schema::Ref { name } = writer {
            return self.resolve(value, self.writer[name], reader);
        }
        if let Schema::Ref { name } = reader {
            return self.resolve(value, writer, self.reader[name]);
        }
        if let (Value::Union(index, inner), Schema::Union(union)) = (value, writer) {
            return self.resolve(inner, &union.variants()[usize::try_from(*index).ok()?], reader);
        }
        match (reader, value, writer) {
            (Schema::Union(_), Value::Null, _) => Some(Value::Union(0, Box::new(Value::Null))),
            (Schema::Union(union), ..) => {
                let present = self.resolve(value, writer, &union.variants()[1])?;
                Some(Value::Union(1, Box::new(present)))
            }
            (Schema::Record(ours), Value::Record(written), Schema::Record(theirs)) => {
                let mut fields = Vec::new();
                for field in &ours.fields {
                    let place = theirs.fields.iter().position(|candidate| candidate.name == field.name);
                    let found = match place {
                        Some(at) => self.resolve(&written[at].1, &theirs.fields[at].schema, &field.schema)?,
                        None => default_of(field.default.as_ref()?, &field.schema),
                    };
                    fields.push((field.name.clone(), found));
                }
                Some(Value::Record(fields))
            }
            (Schema::Enum(ours), Value::Enum(_, symbol), Schema::Enum(_)) => {
                let known = ours.symbols.iter().position(|candidate| candidate == symbol);
                let default = ours.default.as_ref()?;
                let at = known.or_else(|| ours.symbols.iter().position(|candidate| candidate == default))?;
                Some(Value::Enum(u32::try_from(at).ok()?, ours.symbols[at].clone()))
            }
            (Schema::Array(ours), Value::Array(items), Schema::Array(theirs)) => {
                let resolved = items.iter().map(|item| self.resolve(item, &theirs.items, &ours.items));
                resolved.collect::<Option<_>>().map(Value::Array)
            }
            (Schema::Map(ours), Value::Map(entries), Schema::Map(theirs)) => {
                let resolved = entries.iter().map(|(key, value)| {
                    self.resolve(value, &theirs.types, &ours.types).map(|value| (key.clone(), value))
                });
                resolved.collect::<Option<_>>().map(Value::Map)
            }
            (Schema::Long | Schema::TimestampMicros, Value::Int(number), _) => {
                Some(Value::Long(i64::from(*number)))
            }
            (Schema::Long | Schema::TimestampMicros, Value::Long(number), _) => Some(Value::Long(*number)),
            (Schema::Int | Schema::Date, Value::Int(number), _) => Some(Value::Int(*number)),
            (Schema::String, Value::String(text), _) => Some(Value::String(text.clone())),
            (Schema::String, Value::Bytes(bytes), _) => {
                String::from_utf8(bytes.clone()).ok().map(Value::String)
            }
            (Schema::Boolean, Value::Boolean(flag), _) => Some(Value::Boolean(*flag)),
            _ => None,
        }
    }
}

fn default_of(default: &Json, schema: &Schema) -> Value {
    match (default, schema) {
        (Json::Null, Schema::Union(_)) => Value::Union(0, Box::new(Value::Null)),
        (Json::Number(number), Schema::Int) => {
            Value::Int(i32::try_from(number.as_i64().expect("a whole number")).expect("32 bits"))
        }
        (Json::Object(members), Schema::Map(_)) if members.is_empty() => Value::Map(Default::default()),
        _ => panic!("the model does not know the default {default} of {schema:?}"),
    }
}

/// How often each way was taken, and how often a record was read.
#[derive(Debug, Default)]
struct Counts {
    ways: BTreeMap<&'static str, usize>,
    read: usize,
    not_read: usize,
}

fn check<T: AvroRecord + PartialEq + std::fmt::Debug>(seed: u8, cases: usize) {
    let ours = Schema::parse_str(T::SCHEMA.text()).expect("a built-in schema");
    let our_names = ResolvedSchema::new(&ours).expect("self-contained");
    let mut chance = Chance(TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let mut counts = Counts::default();
    for case in 0..cases {
        let mut json: Json = serde_json::from_str(T::SCHEMA.text()).expect("JSON");
        let rate = [3, 10, 40, 1_000][case % 4];
        Changes { chance: &mut chance, rate }.change_inside(&mut json);
        if chance.one_in(8) {
            json["namespace"] = json!("com.example");
        }
        let text = json.to_string();
        // A field that was left out may have held the definition of a type that others name.
        let Ok(writer) = Schema::parse_str(&text) else { continue };
        let registered = RegisteredSchema::new(ID, &text);
        let Ok(fit) = fit(&writer, &ours) else {
            *counts.ways.entry("refused").or_default() += 1;
            assert!(registered.defect().is_some(), "{text}");
            continue;
        };
        assert_eq!(registered.defect(), None, "{text}");
        let way = match fit.way {
            Way::Same => "same",
            Way::ByName => "by name",
            Way::ByBranch => "by branch",
        };
        *counts.ways.entry(way).or_default() += 1;

        remove_logical_types(&mut json);
        let written_with = Schema::parse(&json).expect("as with logical types");
        let names = ResolvedSchema::new(&written_with).expect("self-contained");
        let codec = WriterSchema::compile(&text, &fit.symbols).expect("a schema");
        let resolving = GenericDatumReader::builder(&written_with)
            .reader_schema(&ours)
            .build()
            .expect("both are self-contained");
        let datum_writer = GenericDatumWriter::builder(&written_with).build().expect("self-contained");
        for _ in 0..6 {
            let value = any_value(&written_with, "", names.get_names(), &mut chance);
            let model = Model { writer: names.get_names(), reader: our_names.get_names() };
            let resolved = model.resolve(&value, &written_with, &ours);
            let expected = resolved.and_then(|value| apache_avro::from_value::<T>(&value).ok());
            let datum = datum_writer.write_value_to_vec(value).expect("a value of the schema");
            let bytes = [&[0][..], &ID.to_be_bytes(), &datum].concat();
            let outcomes = [
                ("decoded", registered.decode::<T>(&bytes)),
                // Whatever the schema: branches are looked through, and nothing else changes.
                ("by branch", read_datum(codec.codec(), &bytes, ByBranch(PhantomData))),
            ];
            for (how, outcome) in outcomes {
                assert_eq!(outcome.as_ref().ok(), expected.as_ref(), "{how}, {way}: {outcome:?}\n{text}");
            }
            // Another implementation of the rules. It takes more than they allow, so only what they do is compared.
            if let Some(expected) = &expected {
                let theirs = resolving.read_value(&mut &datum[..]).expect("the rules allow it");
                assert_eq!(
                    &apache_avro::from_value::<T>(&theirs).expect("as by the model"),
                    expected,
                    "{text}"
                );
            }
            if expected.is_some() {
                counts.read += 1;
            } else {
                counts.not_read += 1;
            }
        }
        cut_and_changed_bytes_are_no_panic::<T>(&registered, &mut chance);
    }
    for way in ["same", "by name", "by branch"] {
        assert!(counts.ways.get(way).is_some_and(|count| *count > cases / 50), "{way}: {counts:?}");
    }
    assert!(counts.read > cases && counts.not_read > 0, "{counts:?}");
}

fn cut_and_changed_bytes_are_no_panic<T: AvroRecord + std::fmt::Debug>(
    registered: &RegisteredSchema,
    chance: &mut Chance,
) {
    let mut bytes = [&[0][..], &ID.to_be_bytes()].concat();
    for _ in 0..chance.below(80) {
        // Small numbers reach deeper: lengths, branches and symbols are small.
        let bound = if chance.one_in(3) { 256 } else { 12 };
        let byte = chance.below(bound);
        bytes.push(u8::try_from(byte).expect("a byte"));
    }
    match registered.decode::<T>(&bytes) {
        Ok(_) | Err(DecodeError::Malformed { .. } | DecodeError::TrailingBytes { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Schemas are texts from outside too: nearly right ones reach deep into two parsers.
#[test]
fn damaged_schemas_are_no_panic() {
    const PIECES: [&str; 16] = [
        "\"null\"",
        "\"record\"",
        "\"enum\"",
        "\"fixed\"",
        "\"array\"",
        "\"decimal\"",
        "\"duration\"",
        "\"uuid\"",
        "{}",
        "[]",
        "null",
        "-1",
        "\"\"",
        "\".\"",
        "\"size\": 12",
        "\"name\": \"PaymentRequested\"",
    ];
    let mut chance = Chance(TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]));
    let (mut usable, mut unusable) = (0, 0);
    for case in 0..6_000 {
        let schema = BuiltIn::ALL[case % BuiltIn::ALL.len()];
        // Without words and spaces, so that damage meets the structure.
        let json: Json = serde_json::from_str(schema.text()).expect("JSON");
        let mut text = without_words(json).to_string();
        for _ in 0..=chance.below(2) {
            damage(&mut text, PIECES[chance.below(PIECES.len())], &mut chance);
        }
        let registered = RegisteredSchema::new(ID, &text);
        match registered.defect() {
            Some(defect) => {
                assert!(!defect.is_empty());
                unusable += 1;
            }
            None => {
                usable += 1;
                let bytes = [&[0][..], &ID.to_be_bytes(), &[2, 2, b'a', 0, 2, b'b', 4, 0, 0, 0]].concat();
                let _ = registered.decode::<PaymentRequested>(&bytes);
                let _ = registered.decode::<Payout>(&bytes);
            }
        }
    }
    assert!(usable > 100 && unusable > 100, "{usable} usable, {unusable} not");
}

fn without_words(mut schema: Json) -> Json {
    match &mut schema {
        Json::Object(members) => {
            members.remove("doc");
            members.values_mut().for_each(|value| *value = without_words(value.take()));
        }
        Json::Array(items) => items.iter_mut().for_each(|value| *value = without_words(value.take())),
        _ => {}
    }
    schema
}

/// Puts a piece, or another word of the text, in the place of a word; or a piece in that of any few characters.
fn damage(text: &mut String, piece: &str, chance: &mut Chance) {
    if chance.one_in(4) {
        let start = chance.below(text.len());
        let end = (start + chance.below(8)).min(text.len());
        text.replace_range(start..end, piece);
        return;
    }
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    let words: Vec<(usize, usize)> = quotes.chunks_exact(2).map(|pair| (pair[0], pair[1] + 1)).collect();
    let (start, end) = words[chance.below(words.len())];
    let (other_start, other_end) = words[chance.below(words.len())];
    let word = if chance.one_in(2) { piece.to_owned() } else { text[other_start..other_end].to_owned() };
    text.replace_range(start..end, &word);
}

#[test]
fn requests() {
    check::<PaymentRequested>(1, 1_200);
}

#[test]
fn decisions() {
    check::<DecisionEvent>(2, 600);
}

#[test]
fn approved_payments() {
    check::<PaymentApproved>(3, 800);
}

#[test]
fn results() {
    check::<PaymentResult>(4, 800);
}

#[test]
fn settlement_events() {
    check::<SettlementEvent>(5, 600);
}

#[test]
fn ledger_transactions() {
    check::<LedgerTransaction>(6, 800);
}

#[test]
fn payouts() {
    check::<Payout>(7, 800);
}

/// Our reader's aliases would be resolved; there is none, and no enum without a default.
#[test]
fn our_schemas_have_what_the_comparison_relies_on() {
    for schema in BuiltIn::ALL {
        assert!(!schema.text().contains("\"aliases\""), "{schema:?}");
        let ours = Schema::parse_str(schema.text()).expect("a built-in schema");
        let fit = fit(&ours, &ours).expect("compatible with itself");
        assert_eq!(fit.way, Way::Same, "{schema:?}");
    }
}

#[test]
fn what_no_record_can_be_read_across_is_named() {
    let text = BuiltIn::PaymentRequested.text();
    let ours = Schema::parse_str(text).expect("a built-in schema");
    let cases = [
        (
            "timestamp-micros",
            "timestamp-millis",
            "requested_at is long (timestamp-millis), expected long (timestamp-micros)",
        ),
        ("timestamp-micros", "local-timestamp-micros", "requested_at is long (local-timestamp-micros)"),
        (
            r#""name": "priority", "type": "int""#,
            r#""name": "priority", "type": "long""#,
            "priority is long, expected int",
        ),
        (
            r#""name": "payment_id", "type": "string""#,
            r#""name": "payment_id", "type": "long""#,
            "payment_id is long, expected string",
        ),
        (
            r#""name": "payment_id", "type": "string""#,
            r#""name": "payment_id", "type": "null""#,
            "payment_id is null, expected string",
        ),
        (
            r#""name": "payment_id", "type": "string""#,
            r#""name": "payment_id", "type": ["null"]"#,
            "payment_id is always null",
        ),
        (
            r#""name": "payment_id", "type": "string""#,
            r#""name": "payment_id", "type": ["string", "int"]"#,
            "payment_id is int, expected string",
        ),
        (
            r#""name": "amount_minor", "type": "long""#,
            r#""name": "amount_minor", "type": "double""#,
            "amount_minor is double, expected long",
        ),
        (
            r#""name": "amount_minor", "type": "long""#,
            r#""name": "amount_minor", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#,
            "amount_minor is decimal, expected long",
        ),
        (r#""name": "amount_minor""#, r#""name": "amount""#, "amount_minor is missing and has no default"),
        (r#""values": "string""#, r#""values": "int""#, "metadata[] is int, expected string"),
        (r#""name": "Card""#, r#""name": "Cart""#, "card is Cart, expected Card"),
        (r#""name": "EventType""#, r#""name": "Kind""#, "event_type is Kind, expected EventType"),
    ];
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let writer = Schema::parse_str(&text.replacen(from, to, 1)).expect(to);
        let error = fit(&writer, &ours).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn another_namespace_is_the_same_record() {
    let text = BuiltIn::Payout.text().replace("settle.v1", "com.example");
    let registered = RegisteredSchema::new(ID, &text);
    assert_eq!(registered.version_of(), Some(BuiltIn::Payout));
    assert_eq!(Name::new("com.example.Payout").expect("a name").name(), "Payout");
}
