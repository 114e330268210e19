//! Dead letters: which records go there, as what, under which headers; and that no card number goes with them,
//! nor anywhere else.

mod support;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::{Malformed, Output, Payload, Placement};
use settle_types::authorize::{DecisionEvent, PaymentApproved};
use settle_types::request::PaymentRequested;
use settle_types::settle::SettlementEvent;
use settle_types::{reason, topic};
use support::build::*;
use support::pipeline::{Pipeline, encoded};

const CARD_NUMBER: &str = "4111111111111111";

fn pipeline() -> Pipeline {
    Pipeline::new(&authorize_settings(), &settle_settings(&[]), noon())
}

struct DeadLetter<'a> {
    key: Option<&'a [u8]>,
    value: &'a [u8],
    headers: &'a [(&'static str, String)],
}

impl DeadLetter<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }
}

fn dead_letters(outputs: &[Output]) -> Vec<DeadLetter<'_>> {
    let mut found = Vec::new();
    for output in outputs {
        let Payload::DeadLetter { value, headers } = &output.payload else { continue };
        assert_eq!((output.topic, output.placement), (topic::DEAD_LETTER, Placement::SameAsInput));
        let value = value.as_deref().expect("the tests send values");
        found.push(DeadLetter { key: output.key.as_deref(), value, headers });
    }
    found
}

#[test]
fn what_was_not_taken_is_kept_as_it_came() {
    let base = || payment("p-2");
    let rows: Vec<(&str, PaymentRequested)> = vec![
        (reason::AMOUNT_NOT_POSITIVE, PaymentRequested { amount_minor: 0, ..base() }),
        (reason::CLOCK_SKEW, PaymentRequested { requested_at: at(30, 0, 0), ..base() }),
        (reason::IDEMPOTENCY_KEY_REUSED, PaymentRequested { amount_minor: 1, ..payment("p-1") }),
        (reason::PAYMENT_ID_REUSED, PaymentRequested { idempotency_key: "new".into(), ..payment("p-1") }),
    ];
    for (code, request) in rows {
        let mut pipeline = pipeline();
        pipeline.request(&payment("p-1"));
        let event: DecisionEvent = pipeline.request(&request).remove(0);
        let reason = event.decision.expect("a decision").reasons.remove(0);
        let letters = dead_letters(&pipeline.authorize[0].outputs);
        let [letter] = letters.as_slice() else { panic!("{code}: one dead letter, found {}", letters.len()) };
        assert_eq!(letter.key, Some(b"d-1".as_slice()), "{code}: the key of the source");
        assert_eq!(letter.value, encoded(&request), "{code}: the bytes of the source");
        let expected = [
            ("settle.source.topic", "payments.requested"),
            ("settle.source.partition", "0"),
            ("settle.source.offset", "1"),
            ("settle.code", code),
            ("settle.reason", reason.detail.as_str()),
        ];
        let found: Vec<_> = letter.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, expected, "{code}");
    }
}

#[test]
fn what_was_taken_replayed_or_declined_is_no_dead_letter() {
    let mut pipeline = pipeline();
    pipeline.request(&payment("p-1"));
    pipeline.request(&payment("p-1"));
    pipeline.request(&refund("r-1", "p-0", 1));
    assert!(dead_letters(&pipeline.authorize[0].outputs).is_empty());
}

#[test]
fn a_card_number_is_masked_and_the_original_can_still_be_recognised() {
    let rows: Vec<(&str, PaymentRequested)> = vec![
        ("in a text", PaymentRequested { device_id: Some(CARD_NUMBER.into()), ..payment("p-1") }),
        ("in an id", PaymentRequested { payment_id: CARD_NUMBER.into(), ..payment("p-1") }),
        (
            "as the account, and so the key",
            PaymentRequested { debtor_account: CARD_NUMBER.into(), ..payment("p-1") },
        ),
        ("as the payment method", PaymentRequested { payment_method: CARD_NUMBER.into(), ..payment("p-1") }),
        (
            "where another error stands before it",
            PaymentRequested { amount_minor: 0, device_id: Some(CARD_NUMBER.into()), ..payment("p-1") },
        ),
        (
            "in the value that the error is about",
            PaymentRequested { payment_method: "4111 1111 1111 1111".into(), ..payment("p-1") },
        ),
        ("as the currency", PaymentRequested { currency: CARD_NUMBER.into(), ..payment("p-1") }),
    ];
    for (name, request) in rows {
        let mut pipeline = pipeline();
        let events = pipeline.request(&request);
        let letters = dead_letters(&pipeline.authorize[0].outputs);
        let [letter] = letters.as_slice() else { panic!("{name}: one dead letter") };
        assert_eq!(letter.value.len(), encoded(&request).len(), "{name}: the length is kept");
        assert_eq!(letter.header("settle.masked"), Some("true"), "{name}");
        let original = blake3_of(&encoded(&request));
        assert_eq!(letter.header("settle.original.blake3"), Some(original.as_str()), "{name}");
        assert_no_card_number(name, letter.value);
        assert_no_card_number(name, letter.key.unwrap_or_default());
        for (_, value) in letter.headers {
            assert_no_card_number(name, value.as_bytes());
        }
        assert_no_card_number(name, &encoded(&events));
        for key in pipeline.authorize[0].journal_keys.iter().flatten() {
            assert_no_card_number(name, key);
        }
    }
}

fn assert_no_card_number(name: &str, bytes: &[u8]) {
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| !b" -".contains(byte)).collect();
    let found = digits.windows(CARD_NUMBER.len()).any(|window| window == CARD_NUMBER.as_bytes());
    assert!(!found, "{name}: {}", bytes.escape_ascii());
}

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[test]
fn an_account_that_was_declared_is_not_masked() {
    let id_formats =
        [("debtor_account".to_owned(), settle_engine::authorize::config::IdFormat::Numeric)].into();
    let settings = AuthorizeSettings { id_formats, ..authorize_settings() };
    let mut pipeline = Pipeline::new(&settings, &settle_settings(&[]), noon());
    let request = PaymentRequested { debtor_account: CARD_NUMBER.into(), ..payment("p-1") };
    pipeline.request(&request);
    pipeline.request(&PaymentRequested { idempotency_key: "new".into(), ..request.clone() });
    let letters = dead_letters(&pipeline.authorize[0].outputs);
    let [letter] = letters.as_slice() else { panic!("one dead letter") };
    assert_eq!(letter.key, Some(CARD_NUMBER.as_bytes()));
    assert_eq!(letter.header("settle.masked"), None, "the conflict passed validation");
}

#[test]
fn a_record_without_key_or_value_is_kept_without() {
    use settle_engine::authorize::{Authorize, Command};
    use settle_types::event::SourcePosition;
    use support::harness::{Harness, Shell, Source};

    let mut harness: Harness<Authorize> = Harness::new(3, &authorize_settings(), noon(), Shell::default());
    let position = SourcePosition { topic: topic::REQUESTED.into(), partition: 3, offset: 42 };
    let malformed = Malformed { code: reason::UNDECODABLE, detail: "value: empty".to_owned() };
    let command = Command::request(position.clone(), Err(malformed), |_| 3, &harness.config);
    harness.submit(&command, Some(&Source { position, key: None, value: None }));
    assert_eq!(harness.journal_keys.last(), Some(&None));
    let output = harness.outputs.last().expect("an output");
    assert_eq!(output.key, None);
    let Payload::DeadLetter { value, headers } = &output.payload else { panic!("a dead letter") };
    assert_eq!(value, &None);
    assert!(headers.contains(&("settle.source.offset", "42".to_owned())), "{headers:?}");
    assert_eq!(harness.meta.position(topic::REQUESTED), 43, "a poison record is decided once");
}

#[test]
fn bytes_that_are_no_result_are_a_decision_and_a_dead_letter() {
    let mut pipeline = pipeline();
    let events = pipeline.undecodable_result(CARD_NUMBER.as_bytes(), reason::UNDECODABLE);
    let decision = events[0].decision.as_ref().expect("a decision");
    assert_eq!(decision.outcome.as_str(), "INVALID");
    let letters = dead_letters(&pipeline.authorize[0].outputs);
    let [letter] = letters.as_slice() else { panic!("one dead letter") };
    assert_eq!(letter.value, b"****************");
    assert_eq!(letter.header("settle.source.topic"), Some(topic::RESULTS));
    assert_eq!(pipeline.authorize[0].meta.position(topic::RESULTS), 1);
}

#[test]
fn what_settle_does_not_take_is_a_dead_letter_too() {
    let mut pipeline = pipeline();
    pipeline.request(&payment("p-1"));
    let refused: SettlementEvent = pipeline.settle_one().expect("an approved payment waits");
    let malformed = Malformed { code: reason::UNKNOWN_SCHEMA, detail: "value: schema 77".to_owned() };
    pipeline.approved(Err(malformed));
    let letters = dead_letters(&pipeline.settle[0].outputs);
    let found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.key, letter.header("settle.code"), letter.header("settle.source.offset")))
        .collect();
    let key = Some(b"m-1".as_slice());
    let expected =
        [(key, Some(reason::NO_CONTRACT), Some("0")), (key, Some(reason::UNKNOWN_SCHEMA), Some("1"))];
    assert_eq!(found, expected);
    let approved: PaymentApproved =
        refused.decision.and_then(|decision| decision.approved).expect("the record");
    assert_eq!(letters[0].value, encoded(&approved));
    assert_eq!(letters[1].value, b"not a record");
}
