//! Damaged request files and mappings: requests, rejects or an error with a hint; never a panic, never more memory than a
//! file accounts for, or than one block of a container may claim.

use std::io::Write;
use std::path::Path;

use apache_avro::types::{Record, Value};
use apache_avro::{Codec, DeflateSettings, Schema, Writer};
use proptest::prelude::*;
use settle_fuzz::{Meter, config, damaged};
use settle_ingest::{Format, Mapping, Requests};
use settle_types::CurrencyTable;

#[global_allocator]
static METER: Meter = Meter;

/// What one block of a container may claim, twice: as it is stored and as it is unpacked.
const BLOCKS: usize = 2 * (64 << 20);
const ROWS: usize = 20;

const MAPPING: &str = r#"
[file]
delimiter = ";"
columns = ["id", "key", "account", "merchant", "amount", "currency", "at", "note"]
header = false

[fields]
event_type = { constant = "PAYMENT" }
payment_id = { column = "id" }
idempotency_key = { template = "{key}-{id}" }
debtor_account = { column = "account" }
merchant_id = { column = "merchant" }
amount = { column = "amount", unit = "decimal" }
currency = { column = "currency" }
payment_method = { constant = "CARD" }
requested_at = { column = "at" }
"#;

fn with_file<T>(bytes: &[u8], action: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("the input can be written");
    action(file.path())
}

/// Requests and rejects up to the end, or up to where the file cannot be read any further.
fn rows(path: &Path, format: Format, mapping: Option<Mapping>) -> (usize, usize) {
    let opened = Requests::open(path, format, mapping, &CurrencyTable::iso_4217());
    let Ok(opened) =
        opened.inspect_err(|error| assert!(!error.hint().is_empty() && !error.to_string().is_empty()))
    else {
        return (0, 0);
    };
    let (mut requests, mut rejects) = (0, 0);
    for row in opened {
        match row {
            Ok(Ok(_)) => requests += 1,
            Ok(Err(reject)) => {
                assert!(!reject.expected.is_empty() && !reject.to_string().is_empty());
                rejects += 1;
            }
            Err(error) => {
                assert!(!error.hint().is_empty() && !error.to_string().is_empty());
                break;
            }
        }
    }
    (requests, rejects)
}

fn mapping(text: &[u8]) -> Option<Mapping> {
    let loaded = with_file(text, Mapping::load);
    loaded.inspect_err(|error| assert!(!error.hint().is_empty() && !error.to_string().is_empty())).ok()
}

fn csv_file() -> Vec<u8> {
    let row = |number: usize| {
        format!(
            "p-{number};k;\"acc \"\"{number}\"\"\";m-1;{number}.50;EUR;2026-03-02T08:00:00Z;\"a\nnote ř\"\n"
        )
    };
    (0..ROWS).map(row).collect::<String>().into_bytes()
}

fn jsonl_file() -> Vec<u8> {
    let row = |number: usize| {
        format!(
            r#"{{"event_type":"PAYMENT","payment_id":"p-{number}","idempotency_key":"k-{number}","debtor_account":"d","merchant_id":"m","amount_minor":{number},"currency":"EUR","payment_method":"CARD","card":{{"token":"t","last4":"1111"}},"requested_at":"2026-03-02T08:00:00Z","metadata":{{"a":"b"}}}}
"#
        )
    };
    (1..=ROWS).map(row).collect::<String>().into_bytes()
}

fn container(codec: Codec) -> Vec<u8> {
    let texts = [
        "payment_id",
        "idempotency_key",
        "debtor_account",
        "merchant_id",
        "currency",
        "payment_method",
        "event_type",
        "requested_at",
    ];
    let fields: Vec<String> =
        texts.iter().map(|name| format!(r#"{{"name":"{name}","type":"string"}}"#)).collect();
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{},{{"name":"amount_minor","type":"long"}},{{"name":"metadata","type":{{"type":"map","values":"string"}}}}]}}"#,
        fields.join(",")
    );
    let schema = Schema::parse_str(&schema).expect("a schema");
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec).expect("a writer");
    for number in 0..ROWS {
        let mut record = Record::new(&schema).expect("a record schema");
        for name in &texts[..6] {
            record.put(name, format!("{name}-{number}"));
        }
        record.put("currency", "EUR");
        record.put("event_type", "PAYMENT");
        record.put("requested_at", "2026-03-02T08:00:00Z");
        record.put("amount_minor", 1_i64);
        record.put("metadata", Value::Map([("a".to_owned(), "b".into())].into()));
        writer.append_value(record).expect("the record fits its schema");
        if number % 7 == 0 {
            writer.flush().expect("memory does not fail");
        }
    }
    writer.into_inner().expect("memory does not fail")
}

fn containers() -> Vec<Vec<u8>> {
    [Codec::Null, Codec::Deflate(DeflateSettings::default()), Codec::Snappy].map(container).to_vec()
}

#[test]
fn the_files_that_are_damaged_are_valid() {
    let csv = with_file(&csv_file(), |path| rows(path, Format::Csv, mapping(MAPPING.as_bytes())));
    assert_eq!(csv, (ROWS, 0));
    assert_eq!(with_file(&jsonl_file(), |path| rows(path, Format::Jsonl, None)), (ROWS, 0));
    for container in containers() {
        assert_eq!(with_file(&container, |path| rows(path, Format::Avro, None)), (ROWS, 0));
    }
}

/// Little that unpacks to much: a thousandth of what it becomes.
#[test]
fn a_container_that_unpacks_to_more_than_a_block_may_hold_is_refused() {
    let schema = Schema::parse_str(r#""bytes""#).expect("a schema");
    let zeros = vec![0; 200 << 20];
    let mut writer = Writer::with_codec(&schema, Vec::new(), Codec::Deflate(DeflateSettings::default()))
        .expect("a writer");
    writer.append_value(Value::Bytes(zeros)).expect("it fits");
    let bomb = writer.into_inner().expect("memory does not fail");
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let ((requests, _), peak) = METER.peak(|| with_file(&bomb, |path| rows(path, Format::Avro, None)));
    assert_eq!(requests, 0);
    assert!(peak <= BLOCKS + (16 << 20), "{peak} bytes");
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn damaged_csv(bytes in damaged(vec![csv_file()])) {
        let mapping = mapping(MAPPING.as_bytes());
        let (_, peak) = METER.peak(|| with_file(&bytes, |path| rows(path, Format::Csv, mapping)));
        prop_assert!(peak <= (1 << 20) + 64 * bytes.len(), "{peak} bytes for {}", bytes.len());
    }

    #[test]
    fn damaged_jsonl(bytes in damaged(vec![jsonl_file()])) {
        let (_, peak) = METER.peak(|| with_file(&bytes, |path| rows(path, Format::Jsonl, None)));
        prop_assert!(peak <= (1 << 20) + 64 * bytes.len(), "{peak} bytes for {}", bytes.len());
    }

    #[test]
    fn damaged_containers(bytes in damaged(containers())) {
        let ((requests, rejects), peak) = METER.peak(|| with_file(&bytes, |path| rows(path, Format::Avro, None)));
        prop_assert!(peak <= BLOCKS + (4 << 20) + 512 * bytes.len(), "{peak} bytes for {}", bytes.len());
        // Pieces may be repeated, but no row comes from nothing.
        prop_assert!(requests + rejects <= bytes.len());
    }

    #[test]
    fn damaged_mappings(text in damaged(vec![MAPPING.as_bytes().to_vec()]), bytes in damaged(vec![csv_file()])) {
        let (mapping, peak) = METER.peak(|| mapping(&text));
        prop_assert!(peak <= (1 << 20) + 4_000 * text.len(), "{peak} bytes for {}", text.len());
        if let Some(mapping) = mapping {
            let (_, peak) = METER.peak(|| with_file(&bytes, |path| rows(path, Format::Csv, Some(mapping))));
            prop_assert!(peak <= (1 << 20) + 256 * bytes.len(), "{peak} bytes for {}", bytes.len());
        }
    }
}
