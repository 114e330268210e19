//! Random writers' schemas against a model of Avro's resolution rules: whatever way a schema is read, the record is
//! that of the model.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value as Json, json};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};

use super::super::branches::ByBranch;
use super::super::resolution::{Way, fit};
use super::model::Model;
use super::writers::{Chance, Changes, any_value, remove_logical_types};
use crate::wire::read_datum;
use crate::{AvroRecord, BuiltIn, DecodeError, RegisteredSchema, WriterSchema};

const ID: u32 = 700;

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
        for round in 0..6 {
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
            // Another implementation of the rules, a slow one. It takes more than they allow, so only what they do
            // is compared.
            if let Some(expected) = expected.as_ref().filter(|_| round == 0) {
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
fn what_our_schema_does_not_allow_is_said_so() {
    let nullable = |name: &str, of: &str| {
        let from = format!(r#""name": "{name}", "type": "{of}""#);
        assert!(BuiltIn::Payout.text().contains(&from), "{from}");
        BuiltIn::Payout.text().replacen(&from, &format!(r#""name": "{name}", "type": ["{of}", "null"]"#), 1)
    };
    let cases = [
        (nullable("payout_id", "string"), &[2][..], 6, "expected a string, reading it as settle.v1.Payout"),
        (
            nullable("amount_minor", "long"),
            &[2, b'p', 2, b'b', 2, b'm', 2],
            12,
            "expected i64, reading it as settle.v1.Payout",
        ),
    ];
    for (text, datum, at, what) in cases {
        let bytes = [&[0][..], &ID.to_be_bytes(), datum].concat();
        let error = RegisteredSchema::new(ID, &text).decode::<Payout>(&bytes);
        assert_eq!(error, Err(DecodeError::Malformed { at, what: what.to_owned() }));
    }
}

#[test]
fn another_namespace_is_the_same_record() {
    let text = BuiltIn::Payout.text().replace("settle.v1", "com.example");
    let registered = RegisteredSchema::new(ID, &text);
    assert_eq!(registered.version_of(), Some(BuiltIn::Payout));
    assert_eq!(Name::new("com.example.Payout").expect("a name").name(), "Payout");
}
