//! Bytes that nobody should send: none may panic, allocate without bound, or pass for a record.

use proptest::prelude::*;
use settle_schema::{AvroRecord, BuiltIn, DecodeError, decode, encode, to_json_string};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};

use crate::samples;

fn encoded<T: AvroRecord>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    bytes
}

fn every_sample() -> [(BuiltIn, Vec<u8>); 7] {
    [
        (BuiltIn::PaymentRequested, encoded(&samples::payment_requested())),
        (BuiltIn::DecisionEvent, encoded(&samples::decision_event())),
        (BuiltIn::PaymentApproved, encoded(&samples::payment_approved())),
        (BuiltIn::PaymentResult, encoded(&samples::payment_result())),
        (BuiltIn::SettlementEvent, encoded(&samples::settlement_event())),
        (BuiltIn::LedgerTransaction, encoded(&samples::ledger_transaction())),
        (BuiltIn::Payout, encoded(&samples::payout())),
    ]
}

/// Decodes as the record of that schema; only whether it worked matters.
fn decode_as(schema: BuiltIn, bytes: &[u8]) -> Result<(), DecodeError> {
    match schema {
        BuiltIn::PaymentRequested => decode::<PaymentRequested>(bytes).map(|_| ()),
        BuiltIn::DecisionEvent => decode::<DecisionEvent>(bytes).map(|_| ()),
        BuiltIn::PaymentApproved => decode::<PaymentApproved>(bytes).map(|_| ()),
        BuiltIn::PaymentResult => decode::<PaymentResult>(bytes).map(|_| ()),
        BuiltIn::SettlementEvent => decode::<SettlementEvent>(bytes).map(|_| ()),
        BuiltIn::LedgerTransaction => decode::<LedgerTransaction>(bytes).map(|_| ()),
        BuiltIn::Payout => decode::<Payout>(bytes).map(|_| ()),
    }
}

#[test]
fn a_value_cut_at_any_byte_is_an_error() {
    for (schema, bytes) in every_sample() {
        assert_eq!(decode_as(schema, &bytes), Ok(()));
        for length in 0..bytes.len() {
            assert!(decode_as(schema, &bytes[..length]).is_err(), "{schema:?} cut at {length}");
            assert!(to_json_string(&bytes[..length]).is_err(), "{schema:?} cut at {length}, as JSON");
        }
    }
}

#[test]
fn a_value_that_goes_on_is_an_error() {
    for (schema, mut bytes) in every_sample() {
        let expected = DecodeError::TrailingBytes { at: bytes.len(), count: 2 };
        bytes.extend([0, 0]);
        assert_eq!(decode_as(schema, &bytes), Err(expected.clone()));
        assert_eq!(to_json_string(&bytes), Err(expected));
    }
}

/// A length as Avro writes it: zigzag, seven bits a byte.
fn avro_long(value: i64) -> Vec<u8> {
    let mut rest = u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes());
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
    bytes
}

#[test]
fn a_declared_length_beyond_the_value_is_an_error() {
    let header = |schema: BuiltIn| [&[0][..], &schema.id().to_be_bytes()].concat();
    let lengths = [100, 1 << 29, 1 << 40, 1 << 60, i64::MAX, -1, i64::MIN];
    for length in lengths {
        // The first field of a payout is a string.
        let string = [header(BuiltIn::Payout), avro_long(length), vec![b'a'; 20]].concat();
        assert!(decode::<Payout>(&string).is_err(), "a string of {length}");
        assert!(to_json_string(&string).is_err(), "a string of {length}, as JSON");

        // The last field of a request is a map, empty in this one: its last byte is the end of the map.
        let mut map = encoded(&PaymentRequested::default());
        map.pop();
        map.extend(avro_long(length));
        map.extend([0; 20]);
        assert!(decode::<PaymentRequested>(&map).is_err(), "a map of {length}");
        assert!(to_json_string(&map).is_err(), "a map of {length}, as JSON");

        // The list of reasons of a result stands before its last field, a short number.
        let mut result = samples::payment_result();
        result.reasons.clear();
        result.refused_at = settle_types::Timestamp::from_micros(0);
        let mut array = encoded(&result);
        array.truncate(array.len() - 2);
        array.extend(avro_long(length));
        array.extend([0; 20]);
        assert!(decode::<PaymentResult>(&array).is_err(), "an array of {length}");
        assert!(to_json_string(&array).is_err(), "an array of {length}, as JSON");
    }
}

#[test]
fn a_field_that_breaks_its_type_is_malformed_and_not_quoted() {
    let original = encoded(&samples::payment_approved());
    let with = |from: &[u8], to: &[u8]| {
        let at = original.windows(from.len()).position(|window| window == from).expect("the field");
        [&original[..at], to, &original[at + from.len()..]].concat()
    };
    let cases = [
        ("a currency in small letters", with(b"\x06CZK", b"\x06czk"), "czk"),
        ("a card number as currency", with(b"\x06CZK", b"\x204111111111111111"), "4111111111111111"),
        ("a string that is not UTF-8", with(b"\x06CZK", b"\x06C\xffK"), "\u{fffd}"),
        ("an enum beyond its symbols", [&original[..5], &[12], &original[6..]].concat(), "12"),
        ("an enum below its symbols", [&original[..5], &[1], &original[6..]].concat(), "-1"),
    ];
    for (case, bytes, value) in cases {
        let Err(DecodeError::Malformed { what, .. }) = decode::<PaymentApproved>(&bytes) else {
            panic!("{case} was not malformed");
        };
        assert!(!what.contains(value), "{case}: {what}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_an_error(
        id in 0u32..9,
        datum in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [&[0][..], &id.to_be_bytes(), &datum].concat();
        for schema in BuiltIn::ALL {
            let decoded = decode_as(schema, &bytes);
            prop_assert!(decoded.is_err() || schema.id() == id);
            if decoded.is_ok() {
                let json = to_json_string(&bytes).expect("what decodes has a JSON");
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            }
        }
        if let Ok(json) = to_json_string(&bytes) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
        let headless = decode::<PaymentRequested>(&datum);
        prop_assert!(headless.is_err() || datum.starts_with(&[0, 0, 0, 0, 1]));
    }

    /// Nearly right bytes reach deeper than random ones.
    #[test]
    fn a_changed_byte_is_a_value_or_an_error(sample in 0usize..7, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (schema, mut bytes) = every_sample()[sample].clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let decoded = decode_as(schema, &bytes);
        let json = to_json_string(&bytes);
        prop_assert!(decoded.is_err() || json.is_ok());
        if let Ok(json) = json {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
    }
}
