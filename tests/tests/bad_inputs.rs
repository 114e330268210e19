//! Bad requests end to end: each has its decision and its reason, is dead-lettered where nobody else keeps it,
//! and is never lost. Written as raw records, as any producer could.

use std::collections::BTreeMap;

use settle_log::Record;
use settle_tests::requests::{encoded, noon_plus, payment, refund};
use settle_tests::topics::{header, value};
use settle_tests::{Settle, Topics, Writer, invariants};
use settle_types::authorize::{Decision, DecisionEvent, Outcome, TransitionCause};
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{Timestamp, reason, topic};

const PARTITIONS: u32 = 4;

/// A record to be judged, and what has to come of it.
struct Case {
    name: String,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// Partitions beyond the right one.
    displaced_by: u32,
    outcome: Outcome,
    /// Code of the first reason; empty for a plain approval.
    code: &'static str,
}

/// Cases in the order in which they are sent; each request gets a time after the one before it.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn raw(&mut self, name: &str, value: Option<&[u8]>, code: &'static str) {
        self.0.push(Case {
            name: name.to_owned(),
            key: b"raw".to_vec(),
            value: value.map(<[u8]>::to_vec),
            displaced_by: 0,
            outcome: Outcome::Invalid,
            code,
        });
    }

    fn request(&mut self, name: &str, request: &PaymentRequested, outcome: Outcome, code: &'static str) {
        let seconds = u32::try_from(self.0.len()).expect("few cases");
        let mut request = request.clone();
        if request.requested_at == noon_plus(0) {
            request.requested_at = noon_plus(seconds);
        }
        self.0.push(Case {
            name: name.to_owned(),
            key: request.debtor_account.as_str().as_bytes().to_vec(),
            value: Some(encoded(&request)),
            displaced_by: 0,
            outcome,
            code,
        });
    }

    fn invalid(&mut self, name: &str, code: &'static str, spoil: impl FnOnce(&mut PaymentRequested)) {
        let mut request = payment("d-invalid", &format!("invalid-{}", self.0.len()));
        spoil(&mut request);
        self.request(name, &request, Outcome::Invalid, code);
    }

    fn approved(&mut self, name: &str, request: &PaymentRequested) {
        self.request(name, request, Outcome::Approved, "");
    }
}

fn undecodable(cases: &mut Cases) {
    let good = encoded(&payment("d-1", "p-1"));
    let (cut, longer) = (&good[..good.len() - 3], [good.as_slice(), b"x"].concat());
    cases.raw("no value", None, reason::UNDECODABLE);
    cases.raw("an empty value", Some(b""), reason::UNDECODABLE);
    cases.raw("text", Some(b"{\"payment_id\": \"p-1\"}"), reason::UNDECODABLE);
    cases.raw("a cut record", Some(cut), reason::UNDECODABLE);
    cases.raw("a record with bytes after it", Some(&longer), reason::UNDECODABLE);
    cases.raw("a record of another topic", Some(&[0, 0, 0, 0, 7, 2, b'a']), reason::UNDECODABLE);
    cases.raw(
        "a string of absurd length",
        Some(&[0, 0, 0, 0, 1, 2, 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        reason::UNDECODABLE,
    );
    cases.raw("an unknown schema id", Some(&[0, 0, 0, 3, 231, 1, 2, 3]), reason::UNKNOWN_SCHEMA);
}

fn fields(cases: &mut Cases) {
    use reason::{EVENT_TYPE_UNKNOWN, FIELD_INVALID, FIELD_MISSING, FIELD_TOO_LONG, ORIGINAL_ID_INVALID};
    let long = "x".repeat(256);
    cases.invalid("an unknown event type", EVENT_TYPE_UNKNOWN, |request| {
        request.event_type = EventType::Unknown
    });
    cases.invalid("no payment id", FIELD_MISSING, |request| request.payment_id = "".into());
    cases.invalid("no idempotency key", FIELD_MISSING, |request| request.idempotency_key = "".into());
    cases.invalid("no debtor", FIELD_MISSING, |request| request.debtor_account = "".into());
    cases.invalid("no merchant", FIELD_MISSING, |request| request.merchant_id = "".into());
    cases.invalid("no payment method", FIELD_MISSING, |request| request.payment_method = "".into());
    cases.invalid("key too long", FIELD_TOO_LONG, |request| request.idempotency_key = long.as_str().into());
    cases.invalid("payment id too long", FIELD_TOO_LONG, |request| request.payment_id = long.as_str().into());
    cases.invalid("debtor too long", FIELD_TOO_LONG, |request| request.debtor_account = long.as_str().into());
    cases
        .invalid("device too long", FIELD_TOO_LONG, |request| request.device_id = Some(long.as_str().into()));
    cases.invalid("metadata too long", FIELD_TOO_LONG, |request| {
        request.metadata.insert("note".into(), "x".repeat(1_025).into());
    });
    cases.invalid("a control character", FIELD_INVALID, |request| request.payment_id = "p\n1".into());
    cases.invalid("a method in small letters", FIELD_INVALID, |request| {
        request.payment_method = "card".into()
    });
    cases.invalid("a priority of ten", FIELD_INVALID, |request| request.priority = 10);
    cases.invalid("the year 1970", FIELD_INVALID, |request| request.requested_at = Timestamp::EPOCH);
    cases.invalid("a payment with an original", ORIGINAL_ID_INVALID, |request| {
        request.original_payment_id = Some("p-0".into());
    });
    cases.invalid("a refund without an original", ORIGINAL_ID_INVALID, |request| {
        request.event_type = EventType::Refund;
    });
    let mut longest = payment("d-longest", "p-longest");
    longest.idempotency_key = "é".repeat(255).as_str().into();
    cases.approved("a key of 255 characters is fine", &longest);
}

fn money(cases: &mut Cases) {
    use reason::{AMOUNT_NOT_POSITIVE, CURRENCY_UNKNOWN};
    cases.invalid("amount 0", AMOUNT_NOT_POSITIVE, |request| request.amount_minor = 0);
    cases.invalid("amount -1", AMOUNT_NOT_POSITIVE, |request| request.amount_minor = -1);
    cases.invalid("the lowest amount", AMOUNT_NOT_POSITIVE, |request| request.amount_minor = i64::MIN);
    cases.invalid("an unknown currency", CURRENCY_UNKNOWN, |request| request.currency = "XQQ".into());
    cases.invalid("a currency in small letters", CURRENCY_UNKNOWN, |request| request.currency = "eur".into());
    cases.invalid("no currency", CURRENCY_UNKNOWN, |request| request.currency = "".into());
}

fn follow_ups(cases: &mut Cases) {
    use reason::{AMOUNT_ABOVE_REMAINDER, CURRENCY_MISMATCH, ORIGINAL_UNKNOWN, ORIGINAL_WRONG_TYPE};
    let declined = Outcome::Declined;
    cases.request(
        "a refund of nothing known",
        &refund("d-2", "r-0", "p-unknown", 1),
        declined,
        ORIGINAL_UNKNOWN,
    );
    cases.approved("a payment of 10000", &payment("d-2", "p-2"));
    cases.approved("a refund of 6000", &refund("d-2", "r-1", "p-2", 6_000));
    cases.request("above the rest", &refund("d-2", "r-2", "p-2", 4_001), declined, AMOUNT_ABOVE_REMAINDER);
    let foreign = PaymentRequested { currency: "USD".into(), ..refund("d-2", "r-3", "p-2", 1) };
    cases.request("in another currency", &foreign, declined, CURRENCY_MISMATCH);
    cases.request("of a refund", &refund("d-2", "r-4", "r-1", 1), declined, ORIGINAL_WRONG_TYPE);
    cases.request("of another debtor's", &refund("d-3", "r-5", "p-2", 1), declined, ORIGINAL_UNKNOWN);
    cases.approved("the rest", &refund("d-2", "r-6", "p-2", 4_000));
    cases.request("one unit more", &refund("d-2", "r-7", "p-2", 1), declined, AMOUNT_ABOVE_REMAINDER);
}

fn repeats(cases: &mut Cases) {
    use reason::{AMOUNT_NOT_POSITIVE, IDEMPOTENCY_KEY_REUSED, PAYMENT_ID_REUSED, REPLAY};
    let first = payment("d-4", "p-4");
    cases.approved("the first attempt", &first);
    cases.request("its retry", &first, Outcome::Replayed, REPLAY);
    let other = PaymentRequested { amount_minor: 10_001, ..first.clone() };
    cases.request("its key for another amount", &other, Outcome::Conflict, IDEMPOTENCY_KEY_REUSED);
    let other = PaymentRequested { idempotency_key: "another".into(), ..first.clone() };
    cases.request("its id under another key", &other, Outcome::Conflict, PAYMENT_ID_REUSED);
    cases.request("the retry still gets its answer", &first, Outcome::Replayed, REPLAY);
    let fresh = payment("d-4", "p-5");
    let spoiled = PaymentRequested { amount_minor: 0, ..fresh.clone() };
    cases.request("an invalid attempt", &spoiled, Outcome::Invalid, AMOUNT_NOT_POSITIVE);
    cases.approved("does not consume its key", &fresh);
}

fn clock(cases: &mut Cases) {
    let first = payment("d-6", "p-6");
    cases.approved("a payment whose key is to last", &first);
    let far = PaymentRequested { requested_at: noon_plus(30 * 86_400), ..payment("d-6", "p-7") };
    cases.request("a clock 30 days ahead", &far, Outcome::Invalid, reason::CLOCK_SKEW);
    let absurd = PaymentRequested { requested_at: noon_plus(u32::MAX / 2), ..payment("d-6", "p-8") };
    cases.request("a clock decades ahead", &absurd, Outcome::Invalid, reason::CLOCK_SKEW);
    cases.request("does not expire the key", &first, Outcome::Replayed, reason::REPLAY);
}

fn all_cases() -> Vec<Case> {
    let mut cases = Cases::default();
    undecodable(&mut cases);
    fields(&mut cases);
    money(&mut cases);
    follow_ups(&mut cases);
    repeats(&mut cases);
    clock(&mut cases);
    cases.request(
        "in the wrong partition",
        &payment("d-9", "p-9"),
        Outcome::Invalid,
        reason::WRONG_PARTITION,
    );
    cases.0.last_mut().expect("a case").displaced_by = 1;
    cases.0
}

/// A configuration that refuses nothing by itself.
pub(crate) const PLAIN_CONFIG: &str = "[clock]\nmode = \"event\"\n[contracts.default]\nfees.\"*\" = {}\n";

/// A binary with that configuration, on a data directory below a folder.
pub(crate) fn plain(folder: &std::path::Path) -> Settle {
    let config = folder.join("plain.toml");
    std::fs::write(&config, PLAIN_CONFIG).expect("the configuration can be written");
    Settle::new(folder.join("data")).with_config(config)
}

/// Decisions of AUTHORIZE by the partition and offset of their request.
pub(crate) fn decisions(topics: &Topics) -> BTreeMap<(u32, u64), Decision> {
    let mut decisions = BTreeMap::new();
    for event in topics.values::<DecisionEvent>(topic::DECIDED) {
        let (Some(decision), Some(input)) = (event.decision, event.input) else { continue };
        let partition = u32::try_from(input.partition).expect("a partition number");
        let offset = u64::try_from(input.offset).expect("an offset");
        decisions.insert((partition, offset), decision);
    }
    decisions
}

/// The dead letter of a source record, if there is one.
pub(crate) fn dead_letter<'a>(
    topics: &'a Topics,
    source: &str,
    partition: u32,
    offset: u64,
) -> Option<&'a Record> {
    use settle_types::topic::header::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
    topics.records(topic::DEAD_LETTER).find(|record| {
        header(record, SOURCE_TOPIC) == source
            && header(record, SOURCE_PARTITION) == partition.to_string()
            && header(record, SOURCE_OFFSET) == offset.to_string()
    })
}

#[test]
fn each_bad_request_has_its_reason_and_none_is_lost() {
    use settle_types::topic::header::{CODE, MASKED, REASON};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let cases = all_cases();
    let mut writer = Writer::open(settle.data(), PARTITIONS);
    let mut positions = Vec::new();
    for (case, timestamp_ms) in cases.iter().zip(noon_plus(0).as_millis()..) {
        let partition = (writer.partition_of(&case.key) + case.displaced_by) % PARTITIONS;
        let offset = writer.send(partition, timestamp_ms, Some(&case.key), case.value.as_deref());
        positions.push((partition, offset));
    }
    writer.commit();
    settle.settle();

    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    let decisions = decisions(&topics);
    let mut expected_dead = 0;
    for (case, position) in cases.iter().zip(&positions) {
        let name = &case.name;
        let decision = &decisions[position];
        let code = decision.reasons.first().map_or("", |reason| reason.code.as_str());
        assert_eq!((decision.outcome, code), (case.outcome, case.code), "{name}: {:?}", decision.reasons);
        let dead = dead_letter(&topics, topic::REQUESTED, position.0, position.1);
        if !matches!(case.outcome, Outcome::Invalid | Outcome::Conflict) {
            assert!(dead.is_none(), "{name}: dead-lettered");
            continue;
        }
        expected_dead += 1;
        let dead = dead.unwrap_or_else(|| panic!("{name}: has no dead letter"));
        assert_eq!(dead.key.as_deref(), Some(case.key.as_slice()), "{name}: the key as it came");
        assert_eq!(dead.value.as_deref(), case.value.as_deref(), "{name}: the bytes as they came");
        assert_eq!(header(dead, CODE), case.code, "{name}");
        assert_eq!(header(dead, REASON), decision.reasons[0].detail, "{name}");
        assert!(header(dead, REASON).len() > 10, "{name}: a reason in words");
        assert_eq!(header(dead, MASKED), "", "{name}");
    }
    assert_eq!(topics.count(topic::DEAD_LETTER), expected_dead, "no other dead letters");
}

#[test]
fn a_payment_id_of_another_debtor_is_refused_by_settle_and_the_debtor_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let mut writer = Writer::open(settle.data(), PARTITIONS);
    for (seconds, debtor) in [(0, "d-1"), (1, "d-2")] {
        let request = PaymentRequested { requested_at: noon_plus(seconds), ..payment(debtor, "p-same") };
        let partition = writer.partition_of(debtor.as_bytes());
        let time = request.requested_at.as_millis();
        writer.send(partition, time, Some(debtor.as_bytes()), Some(&encoded(&request)));
    }
    writer.commit();
    settle.settle();

    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    assert_eq!(invariants::outcomes(&topics), [(Outcome::Approved, 2)].into());
    assert_eq!(topics.count(topic::RESULTS), 1);
    let dead: Vec<&Record> = topics.records(topic::DEAD_LETTER).collect();
    let [dead] = dead.as_slice() else { panic!("one dead letter was expected: {dead:?}") };
    assert_eq!(header(dead, topic::header::CODE), reason::PAYMENT_ID_REUSED);
    assert_eq!(header(dead, topic::header::SOURCE_TOPIC), topic::APPROVED);
    let events = topics.records(topic::DECIDED).map(value::<DecisionEvent>);
    let changes: Vec<_> = events.filter_map(|event| event.transition).collect();
    let [change] = changes.as_slice() else { panic!("one transition was expected: {changes:?}") };
    assert_eq!((change.from, change.to), (Outcome::Approved, Outcome::Refused));
    assert_eq!(change.cause, TransitionCause::SettlementRefusal);
    assert_eq!(change.payment.debtor_account.as_str(), "d-2", "the later one is refused");
}
