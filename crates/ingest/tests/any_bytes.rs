//! Whatever the bytes of a file: requests, rejects or an error, never a panic; and no row disappears.

use std::path::Path;

use proptest::prelude::*;
use settle_ingest::{Format, Mapping, Requests};
use settle_types::CurrencyTable;

const MAPPING: &str = r#"
[file]
header = false
columns = ["a", "b"]
[fields]
event_type = { constant = "PAYMENT" }
payment_id = { column = "a" }
idempotency_key = { template = "{a}-{b}" }
debtor_account = { column = "a" }
merchant_id = { column = "a" }
amount = { column = "b", unit = "decimal" }
currency = { constant = "EUR" }
payment_method = { constant = "CARD" }
requested_at = { constant = "2026-03-02T08:00:00Z" }
"#;

/// Requests and rejects of a file; none where it cannot be opened or read to its end.
fn counted(path: &Path, format: Format, mapping: Option<Mapping>) -> Option<(usize, usize)> {
    let rows = Requests::open(path, format, mapping, &CurrencyTable::iso_4217()).ok()?;
    let (mut requests, mut rejects) = (0, 0);
    for row in rows {
        match row.ok()? {
            Ok(_) => requests += 1,
            Err(reject) => {
                assert!(!reject.to_string().is_empty());
                rejects += 1;
            }
        }
    }
    Some((requests, rejects))
}

fn with_file<T>(bytes: &[u8], action: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("the input can be written");
    action(&path)
}

fn csv_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(b','), 3 => Just(b'"'), 3 => Just(b'\n'), 1 => Just(b'\r'),
        6 => b'0'..=b'9', 1 => Just(b'.'), 1 => any::<u8>()
    ];
    proptest::collection::vec(byte, 0..200)
}

fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\n".to_owned()),
        Just("\"amount_minor\"".to_owned()),
        Just("\"card\"".to_owned()),
        Just("null".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        "\"[a-z]{0,3}\"",
        "[0-9]{1,25}"
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A container file with two records, to be damaged.
fn container() -> Vec<u8> {
    let fields: Vec<String> = [
        "event_type",
        "payment_id",
        "idempotency_key",
        "debtor_account",
        "merchant_id",
        "currency",
        "payment_method",
        "requested_at",
    ]
    .iter()
    .map(|name| format!(r#"{{"name":"{name}","type":"string"}}"#))
    .collect();
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{},{{"name":"amount_minor","type":"long"}},{{"name":"metadata","type":{{"type":"map","values":"string"}}}}]}}"#,
        fields.join(",")
    );
    let schema = apache_avro::Schema::parse_str(&schema).expect("a schema");
    let mut writer = apache_avro::Writer::new(&schema, Vec::new()).expect("a writer");
    for _ in 0..2 {
        let mut record = apache_avro::types::Record::new(&schema).expect("a record schema");
        for name in
            ["payment_id", "idempotency_key", "debtor_account", "merchant_id", "currency", "payment_method"]
        {
            record.put(name, name);
        }
        record.put("event_type", "PAYMENT");
        record.put("requested_at", "2026-03-02T08:00:00Z");
        record.put("amount_minor", 1_i64);
        record.put("metadata", apache_avro::types::Value::Map([("a".to_owned(), "b".into())].into()));
        writer.append_value(record).expect("the record fits its schema");
    }
    writer.into_inner().expect("memory does not fail")
}

#[test]
fn the_undamaged_container_is_read() {
    assert_eq!(with_file(&container(), |path| counted(path, Format::Avro, None)), Some((2, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn csv(bytes in prop_oneof![csv_like(), proptest::collection::vec(any::<u8>(), 0..200)]) {
        let mapping = with_file(MAPPING.as_bytes(), Mapping::load).expect("the mapping is valid");
        let (requests, rejects) = with_file(&bytes, |path| counted(path, Format::Csv, Some(mapping))).expect("CSV has no fatal row");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert!(requests + rejects <= lines);
        prop_assert_eq!(requests + rejects > 0, lines > 0 && bytes != b"\xef\xbb\xbf");
        if !bytes.contains(&b'"') {
            prop_assert_eq!(requests + rejects, lines, "without quotes every line is a row");
        }
    }

    #[test]
    fn jsonl(bytes in prop_oneof![json_like(), proptest::collection::vec(any::<u8>(), 0..200)]) {
        prop_assume!(!bytes.starts_with(b"\xef\xbb\xbf"));
        let (requests, rejects) = with_file(&bytes, |path| counted(path, Format::Jsonl, None)).expect("JSONL has no fatal row");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(requests + rejects, lines, "every line is a request or a reject");
    }

    #[test]
    fn avro(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(with_file(&bytes, |path| counted(path, Format::Avro, None)), None);
    }

    #[test]
    fn damaged_avro(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = container();
        for (index, byte) in damage {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        // A damaged count may end the file early, but never makes more of it than it holds.
        if let Some((requests, rejects)) = with_file(&bytes, |path| counted(path, Format::Avro, None)) {
            prop_assert!(requests + rejects <= 2);
        }
    }

    #[test]
    fn mapping(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let loaded = with_file(&bytes, Mapping::load);
        prop_assert!(loaded.is_err(), "too little for a mapping");
    }
}
