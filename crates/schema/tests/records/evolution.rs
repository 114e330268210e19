//! Older and newer writers, and which changes of a schema are allowed.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use settle_schema::{
    BuiltIn, DecodeError, IncompatibleSchemas, InvalidSchema, SchemaSource, WriterSchema,
    check_full_compatibility, decode_with, to_json_string_with,
};
use settle_types::authorize::{Outcome, PaymentResult};
use settle_types::request::{EventType, PaymentRequested};

/// What a registry would be: one foreign schema under one id.
struct OneSchema {
    id: u32,
    schema: WriterSchema,
}

impl SchemaSource for OneSchema {
    fn writer_schema(&self, id: u32) -> Option<&WriterSchema> {
        (id == self.id).then_some(&self.schema)
    }
}

fn registry_with(text: &str) -> Result<OneSchema, InvalidSchema> {
    Ok(OneSchema { id: 700, schema: WriterSchema::parse(text)? })
}

/// What another team's library would write: apache-avro, from a value without our structs.
fn written_elsewhere(text: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(text).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("self-contained");
    let value = value.resolve(&schema).expect("a value of the schema");
    let datum = writer.write_value_to_vec(value).expect("a value of the schema");
    [&[0][..], &700u32.to_be_bytes(), &datum].concat()
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// The request of the first release that ever was: only what has no default, in another order.
const OLDER_REQUEST: &str = r#"{"type": "record", "name": "PaymentRequested", "namespace": "settle.v1", "fields": [
    {"name": "payment_id", "type": "string"},
    {"name": "event_type", "type":
        {"type": "enum", "name": "EventType", "symbols": ["UNKNOWN", "REFUND", "PAYMENT"], "default": "UNKNOWN"}},
    {"name": "idempotency_key", "type": "string"}, {"name": "debtor_account", "type": "string"},
    {"name": "merchant_id", "type": "string"}, {"name": "amount_minor", "type": "long"},
    {"name": "currency", "type": "string"}, {"name": "payment_method", "type": "string"},
    {"name": "requested_at", "type": {"type": "long", "logicalType": "timestamp-micros"}}
]}"#;

fn older_request(symbol: u32, symbol_name: &str) -> Value {
    record(&[
        ("payment_id", text("p-1")),
        ("event_type", Value::Enum(symbol, symbol_name.to_owned())),
        ("idempotency_key", text("k-1")),
        ("debtor_account", text("d-1")),
        ("merchant_id", text("m-1")),
        ("amount_minor", Value::Long(100)),
        ("currency", text("CZK")),
        ("payment_method", text("CARD")),
        ("requested_at", Value::TimestampMicros(5)),
    ])
}

#[test]
fn an_older_writer_leaves_new_fields_at_their_defaults() {
    let source = registry_with(OLDER_REQUEST).expect("a schema");
    let bytes = written_elsewhere(OLDER_REQUEST, older_request(1, "REFUND"));
    let request: PaymentRequested = decode_with(&source, &bytes).expect("a request");
    let expected = PaymentRequested {
        event_type: EventType::Refund,
        payment_id: "p-1".into(),
        idempotency_key: "k-1".into(),
        debtor_account: "d-1".into(),
        merchant_id: "m-1".into(),
        amount_minor: 100,
        currency: "CZK".into(),
        payment_method: "CARD".into(),
        requested_at: settle_types::Timestamp::from_micros(5),
        ..PaymentRequested::default()
    };
    assert_eq!(request, expected);
}

#[test]
fn a_newer_writer_may_have_more_fields_and_symbols() {
    let newer = OLDER_REQUEST
        .replace(r#""PAYMENT"]"#, r#""PAYMENT", "DONATION"]"#)
        .replace(
            r#"{"name": "amount_minor", "type": "long"},"#,
            r#"{"name": "notes", "type": {"type": "array", "items": "string"}}, {"name": "amount_minor", "type": "long"},"#,
        );
    let source = registry_with(&newer).expect("a schema");
    let Value::Record(mut fields) = older_request(3, "DONATION") else { unreachable!("a record") };
    fields.push(("notes".to_owned(), Value::Array(vec![text("one"), text("two")])));
    let bytes = written_elsewhere(&newer, Value::Record(fields));

    let request: PaymentRequested = decode_with(&source, &bytes).expect("a request");
    assert_eq!((request.event_type, request.amount_minor), (EventType::Unknown, 100));

    let json = to_json_string_with(&source, &bytes).expect("a request");
    assert!(json.starts_with(r#"{"payment_id":"p-1","event_type":"DONATION","#), "{json}");
    assert!(json.contains(r#""notes":["one","two"],"amount_minor":100"#), "{json}");
}

#[test]
fn a_writer_without_a_required_field_is_refused() {
    let without = OLDER_REQUEST.replace(r#"{"name": "merchant_id", "type": "string"}, "#, "");
    let source = registry_with(&without).expect("a schema");
    let Value::Record(mut fields) = older_request(2, "PAYMENT") else { unreachable!("a record") };
    fields.retain(|(name, _)| name != "merchant_id");
    let error = decode_with::<PaymentRequested>(&source, &written_elsewhere(&without, Value::Record(fields)));
    let Err(DecodeError::Malformed { what, .. }) = error else { panic!("{error:?}") };
    assert!(what.contains("merchant_id"), "{what}");
}

/// Elements without bytes: the one way in which a short value could hold a long list.
#[test]
fn a_foreign_list_of_nothing_is_bounded() {
    let nothing = r#"{"type": "record", "name": "PaymentResult", "namespace": "settle.v1", "fields": [
        {"name": "reasons", "type": {"type": "array", "items": "null"}}]}"#;
    let source = registry_with(nothing).expect("a schema");
    // 2^40 elements, then the end of the list.
    let bytes = [&[0][..], &700u32.to_be_bytes(), &[0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0]].concat();
    assert!(matches!(to_json_string_with(&source, &bytes), Err(DecodeError::Malformed { .. })));
    assert!(matches!(decode_with::<PaymentResult>(&source, &bytes), Err(DecodeError::Malformed { .. })));
}

#[test]
fn a_type_without_plain_json_is_refused() {
    let types = [r#""double""#, r#""bytes""#, r#"["null", "string", "long"]"#];
    for field_type in types {
        let schema = format!(
            r#"{{"type": "record", "name": "Other", "fields": [{{"name": "field", "type": {field_type}}}]}}"#
        );
        let source = registry_with(&schema).expect("a schema");
        let bytes = [&[0][..], &700u32.to_be_bytes(), &[0; 8]].concat();
        let error = to_json_string_with(&source, &bytes);
        assert!(matches!(error, Err(DecodeError::Malformed { .. })), "{field_type}: {error:?}");
    }
}

#[test]
fn symbols_of_the_program_stay_as_they_are() {
    let source = registry_with(BuiltIn::PaymentResult.text()).expect("a schema");
    let mut bytes = Vec::new();
    settle_schema::encode(&crate::samples::payment_result(), &mut bytes);
    bytes[1..5].copy_from_slice(&700u32.to_be_bytes());
    let result: PaymentResult = decode_with(&source, &bytes).expect("our own bytes");
    assert_eq!(result.outcome, Outcome::Refused);
}

/// A small schema with one part replaced, to name a change by.
fn changed(from: &str, to: &str) -> String {
    let base = r#"{"type": "record", "name": "R", "namespace": "n", "fields": [
        {"name": "id", "type": "string"},
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "state", "type": {"type": "enum", "name": "S", "symbols": ["UNKNOWN", "A"], "default": "UNKNOWN"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "items", "type": {"type": "array", "items":
            {"type": "record", "name": "I", "fields": [{"name": "amount", "type": "long"}]}}},
        {"name": "last", "type": ["null", "I"], "default": null}
    ]}"#;
    assert!(base.contains(from), "{from}");
    base.replacen(from, to, 1)
}

#[test]
fn changes_that_every_reader_survives() {
    let base = changed("", "");
    let cases = [
        ("an optional field", changed(r#"{"name": "id""#, r#"{"name": "new", "type": ["null", "long"], "default": null}, {"name": "id""#)),
        ("a field with a default", changed(r#"{"name": "id""#, r#"{"name": "new", "type": "int", "default": 0}, {"name": "id""#)),
        ("without an optional field", changed(r#"{"name": "note", "type": ["null", "string"], "default": null},"#, "")),
        ("a symbol", changed(r#""UNKNOWN", "A""#, r#""UNKNOWN", "A", "B""#)),
        ("words", changed(r#""type": "string"}"#, r#""type": "string", "doc": "Its id."}"#)),
        (
            "an earlier use of a type, which now spells it out",
            changed(r#"{"name": "id""#, r#"{"name": "first", "type": ["null",
                {"type": "record", "name": "I", "fields": [{"name": "amount", "type": "long"}]}], "default": null}, {"name": "id""#)
                .replacen(r#""items":
            {"type": "record", "name": "I", "fields": [{"name": "amount", "type": "long"}]}"#, r#""items": "I""#, 1),
        ),
    ];
    for (change, new) in cases {
        assert_eq!(check_full_compatibility(&base, &new), Ok(()), "{change}");
        assert_eq!(check_full_compatibility(&new, &base), Ok(()), "{change}, undone");
    }
}

#[test]
fn changes_that_break_a_reader() {
    let base = changed("", "");
    let cases = [
        (
            "a field without a default",
            changed(r#"{"name": "id""#, r#"{"name": "new", "type": "int"}, {"name": "id""#),
        ),
        ("without a required field", changed(r#"{"name": "id", "type": "string"},"#, "")),
        ("a wider number", changed(r#""type": "long", "logicalType""#, r#""type": "int", "x""#)),
        ("another unit of time", changed("timestamp-micros", "timestamp-millis")),
        ("text to bytes", changed(r#""id", "type": "string""#, r#""id", "type": "bytes""#)),
        ("optional text to optional bytes", changed(r#"["null", "string"]"#, r#"["null", "bytes"]"#)),
        (
            "optional to required",
            changed(r#"["null", "string"], "default": null"#, r#""string", "default": """#),
        ),
        ("a number inside a list", changed(r#""amount", "type": "long""#, r#""amount", "type": "string""#)),
        ("another name of an enum", changed(r#""name": "S""#, r#""name": "T""#)),
        (
            "a symbol of an enum without a default",
            changed(r#""symbols": ["UNKNOWN", "A"], "default": "UNKNOWN""#, r#""symbols": ["A"]"#),
        ),
        (
            "a renamed field with an alias",
            changed(r#"{"name": "note", "#, r#"{"name": "remark", "aliases": ["note"], "#),
        ),
    ];
    for (change, new) in cases {
        assert!(check_full_compatibility(&base, &new).is_err(), "{change}");
    }
}

#[test]
fn the_difference_is_named() {
    let base = changed("", "");
    let unit = check_full_compatibility(&base, &changed("timestamp-micros", "timestamp-millis"));
    assert_eq!(
        unit.expect_err("another unit").to_string(),
        "the record.at changes its type from TimestampMicros to TimestampMillis; add a new field beside it"
    );
    let unreadable = check_full_compatibility(&base, "{");
    assert!(
        matches!(unreadable, Err(IncompatibleSchemas::Unreadable { which: "new", .. })),
        "{unreadable:?}"
    );
    let new_field = changed(r#"{"name": "id""#, r#"{"name": "new", "type": "int"}, {"name": "id""#);
    let required = check_full_compatibility(&base, &new_field);
    let expected =
        matches!(required, Err(IncompatibleSchemas::Unresolvable { reader: "new", writer: "old", .. }));
    assert!(expected, "{required:?}");
    let recursive = r#"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}"#;
    assert!(check_full_compatibility(recursive, recursive).is_err());
}
