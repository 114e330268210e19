//! Card numbers never enter: in whatever field one stands, the request is INVALID, and the number is in no
//! topic but the one that the upstream team wrote it to, nor in any output of the program.

use settle_tests::requests::{encoded, noon_plus, payment};
use settle_tests::topics::header;
use settle_tests::{Topics, Writer, invariants};
use settle_types::authorize::Outcome;
use settle_types::request::{Card, EventType, PaymentRequested};
use settle_types::topic::header::{CODE, MASKED, ORIGINAL_HASH};
use settle_types::{reason, topic};

use crate::bad_inputs::{dead_letter, decisions, plain};

/// A number that the schemes publish for tests.
const CARD_NUMBER: &str = "4111111111111111";
/// As long, and with a wrong check digit.
const LONG_ACCOUNT: &str = "4111111111111112";

type Spoil = fn(&mut PaymentRequested, &str);

/// Every place where text can stand.
const FIELDS: [(&str, Spoil); 16] = [
    ("payment_id", |request, text| request.payment_id = text.into()),
    ("idempotency_key", |request, text| request.idempotency_key = text.into()),
    ("debtor_account", |request, text| request.debtor_account = text.into()),
    ("merchant_id", |request, text| request.merchant_id = text.into()),
    ("original_payment_id", |request, text| {
        request.event_type = EventType::Refund;
        request.original_payment_id = Some(text.into());
    }),
    ("payment_method", |request, text| request.payment_method = text.into()),
    ("card.token", |request, text| card(request).token = text.into()),
    ("card.bin", |request, text| card(request).bin = Some(text.into())),
    ("card.last4", |request, text| card(request).last4 = Some(text.into())),
    ("card.expiry", |request, text| card(request).expiry = Some(text.into())),
    ("country", |request, text| request.country = Some(text.into())),
    ("mcc", |request, text| request.mcc = Some(text.into())),
    ("ip", |request, text| request.ip = Some(text.into())),
    ("device_id", |request, text| request.device_id = Some(text.into())),
    ("metadata value", |request, text| {
        request.metadata.insert("note".into(), format!("card {text} of mine").into());
    }),
    ("metadata name", |request, text| {
        request.metadata.insert(text.into(), "x".into());
    }),
];

fn card(request: &mut PaymentRequested) -> &mut Card {
    request.card.get_or_insert_with(|| Card { token: "tok-1".into(), ..Card::default() })
}

/// A request with this text in a field, its key, and its bytes.
fn with_text(index: usize, spoil: Spoil, text: &str) -> (Vec<u8>, Vec<u8>) {
    let mut request = payment("d-1", &format!("p-{index}-{}", text.len()));
    request.idempotency_key = format!("key-{index}-{}", &text[15..]).as_str().into();
    request.payment_id = format!("p-{index}-{}", &text[15..]).as_str().into();
    request.requested_at = noon_plus(u32::try_from(index).expect("few cases"));
    spoil(&mut request, text);
    (request.debtor_account.as_str().as_bytes().to_vec(), encoded(&request))
}

#[test]
fn a_card_number_in_any_field_is_refused_and_masked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let mut writer = Writer::open(settle.data(), 4);
    let mut sent = Vec::new();
    for (index, (field, spoil)) in FIELDS.into_iter().enumerate() {
        let (key, value) = with_text(index, spoil, CARD_NUMBER);
        let partition = writer.partition_of(&key);
        let offset = writer.send(partition, noon_plus(0).as_millis(), Some(&key), Some(&value));
        sent.push((field, partition, offset, value));
    }
    // In a currency it is refused for the currency; in bytes that are no record, for those. Masked all the same.
    let (_, value) = with_text(100, |request, text| request.currency = text.into(), CARD_NUMBER);
    let partition = writer.partition_of(b"d-1");
    let offset = writer.send(partition, noon_plus(0).as_millis(), Some(b"d-1"), Some(&value));
    sent.push(("currency", partition, offset, value));
    let value = format!("no record, but {CARD_NUMBER}").into_bytes();
    let offset = writer.send(partition, noon_plus(0).as_millis(), Some(CARD_NUMBER.as_bytes()), Some(&value));
    sent.push(("undecodable", partition, offset, value));
    writer.commit();

    let ended = settle.run(&["run", "--until-idle", "--finish", "--log-level", "trace"]).expect_code(0);
    assert!(
        !format!("{}{}", ended.stdout, ended.stderr).contains(CARD_NUMBER),
        "the log shows a card number"
    );
    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    topics.assert_nowhere(CARD_NUMBER.as_bytes(), topic::REQUESTED);
    let decisions = decisions(&topics);
    for (field, partition, offset, value) in sent {
        let decision = &decisions[&(partition, offset)];
        let expected = match field {
            "currency" => reason::CURRENCY_UNKNOWN,
            "undecodable" => reason::UNDECODABLE,
            _ => reason::CARD_NUMBER_PRESENT,
        };
        assert_eq!(
            (decision.outcome, decision.reasons[0].code.as_str()),
            (Outcome::Invalid, expected),
            "{field}"
        );
        let dead = dead_letter(&topics, topic::REQUESTED, partition, offset);
        let dead = dead.unwrap_or_else(|| panic!("{field}: has no dead letter"));
        assert_eq!(
            (header(dead, CODE).as_str(), header(dead, MASKED).as_str()),
            (expected, "true"),
            "{field}"
        );
        let hash = blake3::hash(&value).to_hex().to_string();
        assert_eq!(header(dead, ORIGINAL_HASH), hash, "{field}: the hash of the original");
        let masked = dead.value.as_deref().unwrap_or_default();
        assert_eq!(masked.len(), value.len(), "{field}: the length is kept");
    }
    for command in [
        ["dead-letter", "list"].as_slice(),
        &["topics", "tail", "payments.dead-letter", "--format", "json"],
        &["topics", "tail", "payments.decided", "--format", "json"],
    ] {
        let shown = settle.run(command).expect_code(0);
        assert!(!shown.stdout.contains(CARD_NUMBER), "{command:?}");
        assert!(!shown.stdout.is_empty(), "{command:?}");
    }
}

#[test]
fn a_long_account_number_that_is_no_card_number_is_fine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let mut writer = Writer::open(settle.data(), 4);
    let mut sent = 0;
    for (index, (field, spoil)) in FIELDS.into_iter().enumerate() {
        if field == "original_payment_id" {
            continue;
        }
        let (key, value) = with_text(index, spoil, LONG_ACCOUNT);
        writer.send(writer.partition_of(&key), noon_plus(0).as_millis(), Some(&key), Some(&value));
        sent += 1;
    }
    writer.commit();
    settle.settle();
    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    assert_eq!(invariants::outcomes(&topics), [(Outcome::Approved, sent)].into());
}
