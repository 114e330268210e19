//! Damaged records and damaged schemas: an answer with a code, in memory that the input bounds.

#[path = "records/samples.rs"]
mod samples;

use proptest::prelude::*;
use settle_fuzz::{Meter, config, damaged};
use settle_schema::{AvroRecord, BuiltIn, DecodeError, RegisteredSchema, decode, encode, to_json_string};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};

#[global_allocator]
static METER: Meter = Meter;

/// What a decoder may hold: its tables, and for each byte the largest element that one byte can stand for.
fn allowance(input: &[u8]) -> usize {
    (64 << 10) + 512 * input.len()
}

fn encoded<T: AvroRecord>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    bytes
}

fn samples() -> Vec<Vec<u8>> {
    vec![
        encoded(&samples::payment_requested()),
        encoded(&samples::decision_event()),
        encoded(&samples::typical_decision_event()),
        encoded(&samples::payment_approved()),
        encoded(&samples::payment_result()),
        encoded(&samples::settlement_event()),
        encoded(&samples::ledger_transaction()),
        encoded(&samples::payout()),
    ]
}

/// Reads a value with one schema, as each record.
fn read_as_all(mut read: impl FnMut(BuiltIn) -> Result<(), DecodeError>) -> usize {
    let mut refused = 0;
    for schema in BuiltIn::ALL {
        if let Err(error) = read(schema) {
            assert!(!error.reason_code().is_empty() && !error.to_string().is_empty());
            refused += 1;
        }
    }
    refused
}

fn decode_built_in(schema: BuiltIn, bytes: &[u8]) -> Result<(), DecodeError> {
    match schema {
        BuiltIn::PaymentRequested => decode::<PaymentRequested>(bytes).map(drop),
        BuiltIn::DecisionEvent => decode::<DecisionEvent>(bytes).map(drop),
        BuiltIn::PaymentApproved => decode::<PaymentApproved>(bytes).map(drop),
        BuiltIn::PaymentResult => decode::<PaymentResult>(bytes).map(drop),
        BuiltIn::SettlementEvent => decode::<SettlementEvent>(bytes).map(drop),
        BuiltIn::LedgerTransaction => decode::<LedgerTransaction>(bytes).map(drop),
        BuiltIn::Payout => decode::<Payout>(bytes).map(drop),
    }
}

fn decode_registered(writer: &RegisteredSchema, schema: BuiltIn, bytes: &[u8]) -> Result<(), DecodeError> {
    match schema {
        BuiltIn::PaymentRequested => writer.decode::<PaymentRequested>(bytes).map(drop),
        BuiltIn::DecisionEvent => writer.decode::<DecisionEvent>(bytes).map(drop),
        BuiltIn::PaymentApproved => writer.decode::<PaymentApproved>(bytes).map(drop),
        BuiltIn::PaymentResult => writer.decode::<PaymentResult>(bytes).map(drop),
        BuiltIn::SettlementEvent => writer.decode::<SettlementEvent>(bytes).map(drop),
        BuiltIn::LedgerTransaction => writer.decode::<LedgerTransaction>(bytes).map(drop),
        BuiltIn::Payout => writer.decode::<Payout>(bytes).map(drop),
    }
}

#[test]
fn the_inputs_that_are_damaged_are_valid() {
    for bytes in samples() {
        assert_eq!(read_as_all(|schema| decode_built_in(schema, &bytes)), BuiltIn::ALL.len() - 1);
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn damaged_records(bytes in damaged(samples())) {
        // The first use makes tables that stay.
        let _ = to_json_string(&bytes);
        let (_, peak) = METER.peak(|| read_as_all(|schema| decode_built_in(schema, &bytes)));
        prop_assert!(peak <= allowance(&bytes), "{peak} bytes for {}", bytes.len());
        let (json, peak) = METER.peak(|| to_json_string(&bytes));
        prop_assert!(peak <= allowance(&bytes), "{peak} bytes for the JSON of {}", bytes.len());
        if let Ok(json) = json {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = to_json_string(&bytes);
        let (_, peak) = METER.peak(|| read_as_all(|schema| decode_built_in(schema, &bytes)));
        prop_assert!(peak <= allowance(&bytes), "{peak} bytes for {}", bytes.len());
    }
}

proptest! {
    #![proptest_config(config(500))]

    /// What a registry, or whoever answers in its place, may send.
    #[test]
    fn damaged_schemas(
        text in damaged(BuiltIn::ALL.map(|schema| schema.text().as_bytes().to_vec()).to_vec()),
        bytes in damaged(samples()),
    ) {
        let text = String::from_utf8_lossy(&text).into_owned();
        let (schema, peak) = METER.peak(|| RegisteredSchema::new(7, &text));
        // Comparing it with ours makes tables of all fields of both.
        prop_assert!(peak <= (4 << 20) + 2_000 * text.len(), "{peak} bytes for {}", text.len());
        let mut value = bytes;
        if let Some(id) = value.get_mut(1..5) {
            id.copy_from_slice(&7u32.to_be_bytes());
        }
        let (_, peak) = METER.peak(|| read_as_all(|reader| decode_registered(&schema, reader, &value)));
        prop_assert!(peak <= (1 << 20) + allowance(&value), "{peak} bytes for {}", value.len());
    }
}

#[test]
fn schemas_that_are_nested_too_deep_are_unusable() {
    let depth = 20_000;
    let nested = |before: &str, inner: &str, after: &str| {
        format!("{}{inner}{}", before.repeat(depth), after.repeat(depth))
    };
    for text in [
        nested(r#"{"type":"array","items":"#, r#""int""#, "}"),
        nested(r#"{"type":"map","values":"#, r#""int""#, "}"),
        nested(r#"["null","#, r#""int""#, "]"),
        nested("[", "", ""),
        nested(r#"{"type":"#, "", ""),
    ] {
        let schema = RegisteredSchema::new(1, &text);
        assert!(schema.defect().is_some(), "{}", &text[..60]);
    }
}
