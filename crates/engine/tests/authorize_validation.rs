//! AUTHORIZE: what is wrong with a request by itself, a row per error; and what looks wrong and is not.

mod support;

use std::collections::BTreeMap;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::authorize::config::IdFormat;
use settle_engine::authorize::validate::{EARLIEST, LATEST};
use settle_types::authorize::{DecisionEvent, Outcome};
use settle_types::reason;
use settle_types::request::{Card, EventType, PaymentRequested};
use support::build::{authorize_settings, noon, payment, refund, rerouting};
use support::script::{Step, run};

/// A number with the prefix, the length and the check digit of a card. The schemes publish it for tests.
const CARD_NUMBER: &str = "4111111111111111";

type Change = fn(&mut PaymentRequested, &str);

/// Every text field of a request, with what writes it.
const TEXT_FIELDS: [(&str, Change); 9] = [
    ("payment_method", |request, text| request.payment_method = text.into()),
    ("card.token", |request, text| card(request).token = text.into()),
    ("card.bin", |request, text| card(request).bin = Some(text.into())),
    ("card.last4", |request, text| card(request).last4 = Some(text.into())),
    ("card.expiry", |request, text| card(request).expiry = Some(text.into())),
    ("country", |request, text| request.country = Some(text.into())),
    ("mcc", |request, text| request.mcc = Some(text.into())),
    ("ip", |request, text| request.ip = Some(text.into())),
    ("device_id", |request, text| request.device_id = Some(text.into())),
];

const ID_FIELDS: [(&str, Change); 5] = [
    ("payment_id", |request, text| request.payment_id = text.into()),
    ("idempotency_key", |request, text| request.idempotency_key = text.into()),
    ("debtor_account", |request, text| request.debtor_account = text.into()),
    ("merchant_id", |request, text| request.merchant_id = text.into()),
    ("original_payment_id", |request, text| {
        request.event_type = EventType::Refund;
        request.original_payment_id = Some(text.into());
    }),
];

fn card(request: &mut PaymentRequested) -> &mut Card {
    request.card.get_or_insert_with(|| Card { token: "tok-1".into(), ..Card::default() })
}

fn decide(settings: &AuthorizeSettings, request: PaymentRequested) -> DecisionEvent {
    let (_, mut events) = run(settings, &[Step::Request(request)]);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn assert_invalid(settings: &AuthorizeSettings, request: PaymentRequested, code: &str, detail: &str) {
    let name = format!("{code} {detail}");
    let decision = decide(settings, request).decision.expect("a decision");
    assert_eq!(decision.outcome, Outcome::Invalid, "{name}: {:?}", decision.reasons);
    let [found] = decision.reasons.as_slice() else { panic!("{name}: one reason") };
    assert_eq!(found.code, code, "{name}: {}", found.detail);
    assert!(found.detail.contains(detail), "{name}: {}", found.detail);
    assert_eq!(decision.payment, None, "{name}: what could not be judged is not repeated");
    assert_eq!((decision.key_expires_at, decision.forwarded), (None, false), "{name}: it consumes no key");
}

fn changed(change: Change, text: &str) -> PaymentRequested {
    let mut request = payment("p-1");
    change(&mut request, text);
    request
}

#[test]
fn what_is_wrong_with_one_field() {
    let base = || payment("p-1");
    let metadata = |pairs: Vec<(String, String)>| PaymentRequested {
        metadata: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..payment("p-1")
    };
    let pairs = |count: usize| (0..count).map(|index| (format!("name-{index}"), "x".to_owned())).collect();
    let rows: Vec<(PaymentRequested, &str, &str)> = vec![
        (
            PaymentRequested { event_type: EventType::Unknown, ..base() },
            reason::EVENT_TYPE_UNKNOWN,
            "CHARGEBACK_REVERSAL",
        ),
        (PaymentRequested { amount_minor: 0, ..base() }, reason::AMOUNT_NOT_POSITIVE, "0 was found"),
        (PaymentRequested { amount_minor: -1, ..base() }, reason::AMOUNT_NOT_POSITIVE, "-1 was found"),
        (PaymentRequested { amount_minor: i64::MIN, ..base() }, reason::AMOUNT_NOT_POSITIVE, "above zero"),
        (PaymentRequested { currency: "".into(), ..base() }, reason::CURRENCY_UNKNOWN, "ISO 4217"),
        (PaymentRequested { currency: "eur".into(), ..base() }, reason::CURRENCY_UNKNOWN, "\"eur\""),
        (PaymentRequested { currency: "XXX".into(), ..base() }, reason::CURRENCY_UNKNOWN, "\"XXX\""),
        (PaymentRequested { currency: "EUR ".into(), ..base() }, reason::CURRENCY_UNKNOWN, "\"EUR \""),
        (PaymentRequested { currency: CARD_NUMBER.into(), ..base() }, reason::CURRENCY_UNKNOWN, "\"****"),
        (
            PaymentRequested { original_payment_id: Some("p-0".into()), ..base() },
            reason::ORIGINAL_ID_INVALID,
            "a PAYMENT has no original",
        ),
        (
            PaymentRequested { original_payment_id: None, ..refund("r-1", "p-1", 1) },
            reason::ORIGINAL_ID_INVALID,
            "a REFUND names its original",
        ),
        (refund("p-1", "p-1", 1), reason::ORIGINAL_ID_INVALID, "a payment_id of its own"),
        (PaymentRequested { payment_method: "".into(), ..base() }, reason::FIELD_MISSING, "payment_method"),
        (
            PaymentRequested { payment_method: "card".into(), ..base() },
            reason::FIELD_INVALID,
            "capital letters",
        ),
        (
            PaymentRequested { payment_method: "4111 1111 1111 1111".into(), ..base() },
            reason::FIELD_INVALID,
            "\"****",
        ),
        (
            PaymentRequested { requested_at: before(EARLIEST), ..base() },
            reason::FIELD_INVALID,
            "requested_at: 946684799999999",
        ),
        (PaymentRequested { requested_at: LATEST, ..base() }, reason::FIELD_INVALID, "requested_at"),
        (PaymentRequested { execute_at: Some(LATEST), ..base() }, reason::FIELD_INVALID, "execute_at"),
        (
            PaymentRequested { execute_at: Some(noon()), ..refund("r-1", "p-1", 1) },
            reason::FIELD_INVALID,
            "only a PAYMENT can be scheduled",
        ),
        (PaymentRequested { priority: -1, ..base() }, reason::FIELD_INVALID, "priority: -1"),
        (PaymentRequested { priority: 10, ..base() }, reason::FIELD_INVALID, "priority: 10"),
        (metadata(pairs(65)), reason::FIELD_TOO_LONG, "65 pairs"),
        (metadata(vec![("n".repeat(256), "x".into())]), reason::FIELD_TOO_LONG, "a name of at most 255"),
        (metadata(vec![("n".into(), "x".repeat(1_025))]), reason::FIELD_TOO_LONG, "a value of at most 1024"),
    ];
    for (request, code, detail) in rows {
        assert_invalid(&authorize_settings(), request, code, detail);
    }
}

fn before(time: settle_types::Timestamp) -> settle_types::Timestamp {
    settle_types::Timestamp::from_micros(time.as_micros() - 1)
}

#[test]
fn every_text_field_is_held_to_its_length_and_characters() {
    let settings = authorize_settings();
    for (field, change) in ID_FIELDS {
        assert_invalid(&settings, changed(change, ""), reason::FIELD_MISSING, field);
    }
    for (field, change) in ID_FIELDS.into_iter().chain(TEXT_FIELDS) {
        let longest = if field == "payment_method" { 32 } else { 255 };
        assert_invalid(&settings, changed(change, &"X".repeat(longest + 1)), reason::FIELD_TOO_LONG, field);
        assert_invalid(&settings, changed(change, "A\u{7}B"), reason::FIELD_INVALID, field);
        assert_invalid(&settings, changed(change, "A\u{85}B"), reason::FIELD_INVALID, field);
        // The longest that is fine. A follow-up of an unknown payment is declined, and so was read as well.
        let accepted = decide(&settings, changed(change, &"X".repeat(longest))).decision.expect("a decision");
        assert_ne!(accepted.outcome, Outcome::Invalid, "{field}: {:?}", accepted.reasons);
    }
}

/// Where requests in the wrong partition are sent on, only those that are well formed are.
#[test]
fn what_is_malformed_is_invalid_where_it_stands() {
    let (missing, numbers) = (reason::FIELD_MISSING, reason::CARD_NUMBER_PRESENT);
    let rows =
        ID_FIELDS.iter().flat_map(|(_, change)| [(*change, "", missing), (*change, CARD_NUMBER, numbers)]);
    for (change, text, code) in rows {
        let (pipeline, mut events) = run(&rerouting(), &[Step::Elsewhere(changed(change, text))]);
        let decision = events.remove(0).decision.expect("a decision");
        let found = (decision.outcome, decision.reasons[0].code.as_str());
        assert_eq!(found, (Outcome::Invalid, code), "{}", decision.reasons[0].detail);
        assert_eq!(pipeline.waiting_rerouted(), 0, "{code}");
    }
}

#[test]
fn a_card_number_is_found_in_every_field() {
    let settings = authorize_settings();
    let spellings = [CARD_NUMBER, "4111-1111-1111-1111", "pay 4111 1111 1111 1111 now"];
    for (field, change) in ID_FIELDS.into_iter().chain(TEXT_FIELDS) {
        for spelling in spellings {
            if field == "payment_method" && spelling != CARD_NUMBER {
                continue; // its characters refuse it before (see the first table)
            }
            assert_invalid(&settings, changed(change, spelling), reason::CARD_NUMBER_PRESENT, field);
        }
    }
    for (name, value) in [(CARD_NUMBER, "x"), ("note", spellings[2])] {
        let metadata = BTreeMap::from([(name.into(), value.into())]);
        let request = PaymentRequested { metadata, ..payment("p-1") };
        assert_invalid(&settings, request, reason::CARD_NUMBER_PRESENT, "metadata");
    }
}

#[test]
fn a_declared_format_is_required_and_ends_the_search_for_card_numbers() {
    let uuid = "0190b5c2-7d5e-7cc3-98c4-dc0c0c07398f";
    // format, a value that has it, values that have not
    let rows = [
        (IdFormat::Numeric, CARD_NUMBER, vec!["12a", "12 34", "-1"]),
        (
            IdFormat::Iban,
            "CZ6508000000192000145399",
            vec![CARD_NUMBER, "cz6508000000192000145399", "CZ650800000019", "CZ65-0800-0000-1920-0014"],
        ),
        (
            IdFormat::Uuid,
            uuid,
            vec![CARD_NUMBER, "0190b5c27d5e7cc398c4dc0c0c07398f", "0190b5c2-7d5e-7cc3-98c4-dc0c0c07398g"],
        ),
        (IdFormat::Text, "pay 4111 1111 1111 1111 now", vec![]),
    ];
    for (format, fine, wrong) in rows {
        for (field, change) in ID_FIELDS {
            let id_formats = BTreeMap::from([(field.to_owned(), format)]);
            let settings = AuthorizeSettings { id_formats, ..authorize_settings() };
            let decision = decide(&settings, changed(change, fine)).decision.expect("a decision");
            assert_ne!(decision.outcome, Outcome::Invalid, "{field} {format:?}: {:?}", decision.reasons);
            for value in &wrong {
                let request = changed(change, value);
                assert_invalid(&settings, request.clone(), reason::FIELD_INVALID, field);
                let shown = decide(&settings, request).decision.expect("a decision").reasons.remove(0).detail;
                assert!(!shown.contains(CARD_NUMBER), "{field}: {shown}");
            }
        }
    }
}

#[test]
fn what_looks_wrong_and_is_not() {
    let rows: Vec<(&str, PaymentRequested)> = vec![
        ("the highest amount", PaymentRequested { amount_minor: i64::MAX, ..payment("p-1") }),
        ("the lowest", PaymentRequested { amount_minor: 1, ..payment("p-1") }),
        ("no decimals", PaymentRequested { currency: "JPY".into(), ..payment("p-1") }),
        ("three decimals", PaymentRequested { currency: "BHD".into(), ..payment("p-1") }),
        (
            "a long account number with a wrong check digit",
            PaymentRequested { debtor_account: "4111111111111112".into(), ..payment("p-1") },
        ),
        (
            "a long account number that no scheme issues",
            PaymentRequested { debtor_account: "1234567890123456789".into(), ..payment("p-1") },
        ),
        (
            "more digits than a card has",
            PaymentRequested {
                debtor_account: format!("{CARD_NUMBER}0000").as_str().into(),
                ..payment("p-1")
            },
        ),
        ("an IBAN", PaymentRequested { debtor_account: "CZ6508000000192000145399".into(), ..payment("p-1") }),
        (
            "255 characters of several bytes",
            PaymentRequested { payment_id: "é".repeat(255).as_str().into(), ..payment("p-1") },
        ),
        ("the first date", PaymentRequested { requested_at: EARLIEST, ..payment("p-1") }),
        ("the highest priority", PaymentRequested { priority: 9, ..payment("p-1") }),
        (
            "as much metadata as fits",
            PaymentRequested {
                metadata: (0..64).map(|index| (index.to_string().into(), "x".repeat(1_024).into())).collect(),
                ..payment("p-1")
            },
        ),
    ];
    for (name, request) in rows {
        let decision = decide(&authorize_settings(), request).decision.expect("a decision");
        assert_eq!(decision.outcome, Outcome::Approved, "{name}: {:?}", decision.reasons);
        assert!(decision.forwarded, "{name}");
    }
}
