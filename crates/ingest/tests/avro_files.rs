//! Avro container files: records by field name, and everything that can be wrong with a file.

use apache_avro::types::Value;
use apache_avro::{Codec, DeflateSettings, Schema, Writer};
use settle_ingest::{Format, Place, Reject, Requests};
use settle_types::CurrencyTable;
use settle_types::request::PaymentRequested;

/// As producers write it: names and logical types of the request, with fields in an order of their own.
const SCHEMA: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"amount_minor","type":["null","long"]},
    {"name":"event_type","type":{"type":"enum","name":"Kind","symbols":["PAYMENT","REFUND","CAPTURE"]}},
    {"name":"payment_id","type":"string"},
    {"name":"idempotency_key","type":"string"},
    {"name":"debtor_account","type":"string"},
    {"name":"merchant_id","type":"string"},
    {"name":"currency","type":"string"},
    {"name":"payment_method","type":"string"},
    {"name":"requested_at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"execute_at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"card","type":["null",{"type":"record","name":"Card","fields":[
        {"name":"token","type":"string"},{"name":"bin","type":["null","string"]}]}]},
    {"name":"metadata","type":{"type":"map","values":"string"}}]}"#;

/// A record of [`SCHEMA`].
fn order(amount_minor: Option<i64>, kind: (u32, &str)) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    let amount = match amount_minor {
        Some(amount) => Value::Union(1, Box::new(Value::Long(amount))),
        None => Value::Union(0, Box::new(Value::Null)),
    };
    let card = Value::Record(vec![
        ("token".to_owned(), text("tok_1")),
        ("bin".to_owned(), Value::Union(1, Box::new(text("411111")))),
    ]);
    let fields = [
        ("amount_minor", amount),
        ("event_type", Value::Enum(kind.0, kind.1.to_owned())),
        ("payment_id", text("p-1")),
        ("idempotency_key", text("k-1")),
        ("debtor_account", text("d-1")),
        ("merchant_id", text("m-1")),
        ("currency", text("EUR")),
        ("payment_method", text("CARD")),
        ("requested_at", Value::TimestampMillis(1_772_442_900_123)),
        ("execute_at", Value::Union(1, Box::new(Value::TimestampMicros(1_772_442_900_000_001)))),
        ("card", Value::Union(1, Box::new(card))),
        ("metadata", Value::Map([("note".to_owned(), text("x"))].into())),
    ];
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn container(codec: Codec, records: &[Value]) -> Vec<u8> {
    let schema = Schema::parse_str(SCHEMA).expect("a schema");
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec).expect("a writer");
    for record in records {
        writer.append_value(record.clone()).expect("the record fits its schema");
    }
    writer.into_inner().expect("memory does not fail")
}

struct Read {
    requests: Vec<PaymentRequested>,
    rejects: Vec<Reject>,
    /// What ended the file before its end, with the hint.
    failure: Option<String>,
}

fn read(bytes: &[u8]) -> Read {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("requests.avro");
    std::fs::write(&path, bytes).expect("the input can be written");
    let mut read = Read { requests: Vec::new(), rejects: Vec::new(), failure: None };
    let rows = match Requests::open(&path, Format::Avro, None, &CurrencyTable::iso_4217()) {
        Ok(rows) => rows,
        Err(error) => {
            read.failure = Some(format!("{error} | {}", error.hint()));
            return read;
        }
    };
    for row in rows {
        assert!(read.failure.is_none(), "a failure ends the file");
        match row {
            Ok(Ok(request)) => read.requests.push(request),
            Ok(Err(reject)) => read.rejects.push(reject),
            Err(error) => read.failure = Some(format!("{error} | {}", error.hint())),
        }
    }
    read
}

const PAYMENT: (u32, &str) = (0, "PAYMENT");

#[test]
fn records_are_read_by_field_name_whatever_the_codec() {
    for codec in [Codec::Null, Codec::Deflate(DeflateSettings::default()), Codec::Snappy] {
        let found = read(&container(codec, &[order(Some(1_250), PAYMENT), order(Some(-1), (1, "REFUND"))]));
        assert_eq!((found.rejects.len(), &found.failure), (0, &None), "{codec:?}");
        let [first, second] = found.requests.as_slice() else { panic!("two requests: {:?}", found.requests) };
        assert_eq!(first.event_type.as_str(), "PAYMENT");
        assert_eq!(first.amount_minor, 1_250);
        assert_eq!(first.requested_at.as_micros(), 1_772_442_900_123_000);
        assert_eq!(first.execute_at.map(settle_types::Timestamp::as_micros), Some(1_772_442_900_000_001));
        assert_eq!(first.card.as_ref().and_then(|card| card.bin.as_deref()), Some("411111"));
        assert_eq!(first.metadata.get("note").map(AsRef::as_ref), Some("x"));
        assert_eq!((second.event_type.as_str(), second.amount_minor), ("REFUND", -1));
    }
}

#[test]
fn a_bad_record_is_a_reject_and_the_rest_goes_on() {
    let records = [
        order(Some(1), PAYMENT),
        order(None, PAYMENT),
        order(Some(1), (2, "CAPTURE")),
        order(Some(2), PAYMENT),
    ];
    let found = read(&container(Codec::Null, &records));
    assert_eq!((found.requests.len(), &found.failure), (2, &None));
    let [missing, kind] = found.rejects.as_slice() else { panic!("two rejects: {:?}", found.rejects) };
    assert_eq!((missing.place, missing.column.as_deref()), (Place::Record(2), Some("amount_minor")));
    assert!(missing.expected.contains("required"), "{missing}");
    assert_eq!(
        (kind.place, kind.column.as_deref(), kind.value.as_deref()),
        (Place::Record(3), Some("event_type"), Some("CAPTURE"))
    );
    let raw: serde_json::Value = serde_json::from_slice(&kind.raw).expect("the record as JSON");
    assert_eq!((&raw["payment_id"], &raw["card"]["token"]), (&"p-1".into(), &"tok_1".into()));
}

#[test]
fn a_schema_that_cannot_fit_fails_the_file_at_once() {
    let cases = [
        (
            SCHEMA.replace("\"amount_minor\"", "\"amount\""),
            "\"amount\" is not one of a request; did you mean \"amount_minor\"?",
        ),
        (SCHEMA.replace("{\"name\":\"currency\",\"type\":\"string\"},", ""), "\"currency\" is missing"),
        (SCHEMA.replace("[\"null\",\"long\"]", "\"double\""), "\"amount_minor\" has a type"),
        (
            SCHEMA.replace("\"name\":\"token\"", "\"name\":\"number\""),
            "\"card.number\" is not one of a request",
        ),
        (SCHEMA.replace("\"values\":\"string\"", "\"values\":\"bytes\""), "\"metadata\" has a type"),
        (SCHEMA.replace("{\"type\":\"map\",\"values\":\"string\"}", "\"Order\""), "\"metadata\" has a type"),
        ("\"string\"".to_owned(), "expected records at the top"),
    ];
    for (schema, expected) in cases {
        let schema = Schema::parse_str(&schema).expect("a schema");
        let writer = Writer::new(&schema, Vec::new()).expect("a writer");
        let found = read(&writer.into_inner().expect("memory does not fail"));
        let failure = found.failure.unwrap_or_else(|| panic!("refused: {expected}"));
        assert!(failure.contains(expected) && failure.contains("PaymentRequested.avsc"), "{failure}");
    }
}

#[test]
fn files_that_are_damaged_say_so() {
    for bytes in
        [&b""[..], b"Obj", b"{\"payment_id\":\"p-1\"}", b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]
    {
        let failure = read(bytes).failure.expect("not a container");
        assert!(failure.contains("is not an Avro object container file"), "{failure}");
    }
    let empty = container(Codec::Null, &[]);
    let whole = container(Codec::Null, &[order(Some(1), PAYMENT)]);
    let header_length = empty.len();
    assert_eq!(read(&empty).failure, None);
    // Cut anywhere within its block, a file must not look as if it had ended. The cut at the header's end cannot be
    // told from an empty file.
    for length in header_length + 1..whole.len() {
        let found = read(&whole[..length]);
        assert!(found.failure.is_some(), "cut at {length} of {}", whole.len());
    }
}

#[test]
fn a_block_that_claims_more_records_than_it_holds_is_damaged() {
    // Every field may be null: the decoder then takes what is missing for nulls, record after record.
    let names = "event_type payment_id idempotency_key debtor_account merchant_id currency payment_method requested_at";
    let fields: Vec<String> =
        names.split(' ').map(|name| format!(r#"{{"name":"{name}","type":["null","string"]}}"#)).collect();
    let amount = r#"{"name":"amount_minor","type":["null","long"]}"#;
    let schema = format!(r#"{{"type":"record","name":"Order","fields":[{},{amount}]}}"#, fields.join(","));
    let schema = Schema::parse_str(&schema).expect("a schema");
    let writer = Writer::new(&schema, Vec::new()).expect("a writer");
    let empty = writer.into_inner().expect("memory does not fail");
    let marker = &empty[empty.len() - 16..];
    // As many records as an i64 can claim, in a block of no bytes.
    let claim = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00];
    let found = read(&[&empty[..], &claim, marker].concat());
    let failure = found.failure.expect("damaged");
    assert!(failure.contains("a block ends within a record"), "{failure}");
    assert_eq!((found.requests.len(), found.rejects.len()), (0, 0));
}

#[test]
fn a_record_beyond_the_limit_of_a_row_is_a_reject() {
    let Value::Record(mut fields) = order(Some(1), PAYMENT) else { panic!("a record") };
    fields[2].1 = Value::String("x".repeat(settle_ingest::MAX_ROW_BYTES + 1));
    let found = read(&container(Codec::Null, &[Value::Record(fields), order(Some(1), PAYMENT)]));
    assert_eq!((found.requests.len(), found.rejects.len(), found.failure), (1, 1, None));
    assert!(
        found.rejects[0].expected.contains("bytes") && found.rejects[0].raw_truncated,
        "{}",
        found.rejects[0]
    );
    assert_eq!(found.rejects[0].raw.len(), settle_ingest::MAX_ROW_BYTES);
}

#[test]
fn an_empty_block_does_not_hide_the_blocks_after_it() {
    let empty = container(Codec::Null, &[]);
    let whole = container(Codec::Null, &[order(Some(1), PAYMENT)]);
    let marker_of = |bytes: &[u8]| bytes[bytes.len() - 16..].to_vec();
    let mut bytes = whole[..empty.len()].to_vec();
    let block = &whole[empty.len()..];
    bytes.extend_from_slice(block);
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&marker_of(&whole));
    bytes.extend_from_slice(block);
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&marker_of(&whole));
    let found = read(&bytes);
    assert_eq!((found.requests.len(), found.failure), (2, None));
}
