//! Requests of an upstream with another partitioner: re-routed, each is decided once, whatever becomes of commits;
//! rejected, each is a dead letter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use settle_config::kafka::WrongPartition;
use settle_log::{
    EmbeddedLog, Header, Log, OutputRecord, Record, TopicName, TopicPartition, partition_for_key,
};
use settle_runtime::clock::SystemClock;
use settle_runtime::{Pipeline, RunMode, StageSelection, StatsSnapshot, WorkerOptions};
use settle_store::{Resources, StoreOptions};
use settle_types::authorize::{Decision, DecisionEvent, Outcome};
use settle_types::event::SourcePosition;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::settle::{SettlementEvent, SettlementOutcome};
use settle_types::topic::{self, header};
use settle_types::{Duration, Timestamp, reason};

use super::{PARTITIONS, Topics, Trouble, TroubledLog, one_worker, open_log, read_all};

const PAYMENTS: u32 = 240;
const MALFORMED: u32 = 9;

/// 2026-03-02T09:00:00Z, and this many seconds.
fn nine_plus(seconds: u32) -> Timestamp {
    Timestamp::from_micros(1_772_442_000_000_000).saturating_add(Duration::from_seconds(seconds))
}

/// The payment with this number: of 20 debtors to 3 merchants, a second apart.
fn payment(number: u32) -> PaymentRequested {
    PaymentRequested {
        event_type: EventType::Payment,
        payment_id: format!("p-{number}").as_str().into(),
        idempotency_key: format!("key-{number}").as_str().into(),
        debtor_account: format!("acct-{}", number % 20).as_str().into(),
        merchant_id: format!("m-{}", number % 3).as_str().into(),
        amount_minor: 10_000,
        currency: "EUR".into(),
        payment_method: "CARD".into(),
        requested_at: nine_plus(number),
        ..PaymentRequested::default()
    }
}

fn right_partition(request: &PaymentRequested) -> u32 {
    partition_for_key(request.debtor_account.as_str().as_bytes(), PARTITIONS)
}

/// Headers of an upstream; the last one looks like one of Settle's.
fn upstream_headers(number: u32) -> Vec<Header> {
    let text = |name: &str, value: String| Header::new(name, value.into_bytes());
    vec![
        text("upstream.shard", number.to_string()),
        text(header::TRACEPARENT, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba9{number:04x}-01")),
        text("upstream.shard", "again".to_owned()),
        text(header::SOURCE_OFFSET, "9999".to_owned()),
    ]
}

/// Of three payments, the first stands in its right partition, the second in a wrong one, the third in both. Some
/// malformed ones stand in wrong partitions; and somebody has written to `payments.rerouted`, to a wrong partition.
fn produce(log: &EmbeddedLog) {
    let mut producer = log.producer("upstream").expect("a producer");
    producer.begin().expect("a transaction");
    let mut value = Vec::new();
    let mut send = |name: &str, is_right: bool, number: u32, request: &PaymentRequested| {
        value.clear();
        settle_schema::encode(request, &mut value);
        let right = right_partition(request);
        let debtor = request.debtor_account.as_str().as_bytes().to_vec();
        let (partition, key) = match is_right {
            true => (right, debtor),
            false => ((right + 1 + number % 2) % PARTITIONS, format!("shard-{number}").into_bytes()),
        };
        let record = OutputRecord {
            topic: &TopicName::from(name),
            partition,
            timestamp_ms: request.requested_at.as_millis(),
            key: Some(&key),
            value: Some(&value),
            headers: &upstream_headers(number),
        };
        producer.send(&record).expect("room in the transaction");
    };
    for number in 0..PAYMENTS {
        let request = payment(number);
        if number % 3 != 1 {
            send(topic::REQUESTED, true, number, &request);
        }
        if number % 3 != 0 {
            send(topic::REQUESTED, false, number, &request);
        }
    }
    for number in PAYMENTS..PAYMENTS + MALFORMED {
        send(topic::REQUESTED, false, number, &PaymentRequested { amount_minor: 0, ..payment(number) });
    }
    send(topic::REROUTED, false, 7_000, &payment(7_000));
    producer.commit().expect("a commit");
}

struct Run {
    stats: StatsSnapshot,
    topics: Topics,
    troubles: u64,
}

/// Runs both stages over what is in a folder, or over new requests if nothing is.
fn run(directory: &Path, wrong_partition: WrongPartition, trouble: Trouble) -> Run {
    let is_new = !directory.join("log").exists();
    let inner = open_log(directory);
    if is_new {
        produce(&inner);
    }
    let troubles = Arc::new(AtomicU64::new(0));
    let log = TroubledLog {
        inner: inner.clone(),
        trouble,
        commits: Arc::default(),
        troubles: Arc::clone(&troubles),
    };
    let mut config = settle_config::demo_config();
    // Without rules, no decision depends on what was decided before about another payment.
    config.risk.rules.clear();
    config.kafka.wrong_partition = wrong_partition;
    let worker = WorkerOptions {
        state_directory: directory.join("state"),
        batch_records: 7,
        commit_records: 10,
        ..WorkerOptions::default()
    };
    let options = one_worker(&config, StageSelection::All, worker);
    let resources = Resources::new(StoreOptions::default()).expect("valid options");
    let pipeline = Pipeline::new(Arc::new(log), resources, Arc::new(SystemClock), options);
    let ended = pipeline.run(RunMode::UntilIdle { finish: true });
    ended.unwrap_or_else(|error| panic!("{wrong_partition:?} {trouble:?}: {error}"));
    let stats = pipeline.stats().snapshot();
    Run { stats, topics: read_all(&inner), troubles: troubles.load(Ordering::Relaxed) }
}

fn records<'a>(topics: &'a Topics, name: &'a str) -> impl Iterator<Item = &'a Record> {
    topics.iter().filter(move |(partition, _)| &*partition.topic == name).flat_map(|(_, records)| records)
}

fn value<T: settle_schema::AvroRecord>(record: &Record) -> T {
    settle_schema::decode(record.value.as_deref().unwrap_or_default()).expect("a record of this schema")
}

/// What AUTHORIZE decided about each record, in the order of its journals.
fn decisions(topics: &Topics) -> Vec<(SourcePosition, Decision)> {
    let mut found = Vec::new();
    for record in records(topics, topic::DECIDED) {
        let event: DecisionEvent = value(record);
        let Some(decision) = event.decision else { continue };
        let input = event.input.expect("a decision names its record");
        assert_eq!(u32::try_from(input.partition), Ok(record.partition), "I3");
        found.push((input, decision));
    }
    found
}

fn outcomes(topics: &Topics) -> BTreeMap<Outcome, u32> {
    let mut counts = BTreeMap::new();
    for (_, decision) in decisions(topics) {
        *counts.entry(decision.outcome).or_default() += 1;
    }
    counts
}

/// Every record of both topics of requests has one decision (I2).
fn check_decided_once(topics: &Topics) {
    let mut decided: Vec<SourcePosition> = decisions(topics).into_iter().map(|(input, _)| input).collect();
    let mut expected: Vec<SourcePosition> = records(topics, topic::REQUESTED)
        .chain(records(topics, topic::REROUTED))
        .map(|record| SourcePosition {
            topic: (&*record.topic).into(),
            partition: i32::try_from(record.partition).expect("few partitions"),
            offset: i64::try_from(record.offset).expect("few records"),
        })
        .collect();
    decided.sort();
    expected.sort();
    assert_eq!(decided, expected, "I2");
}

/// So many payments were approved, each once, and SETTLE booked as many.
fn check_taken(topics: &Topics, expected: u32) {
    let mut approved = BTreeSet::new();
    for (_, decision) in decisions(topics) {
        if decision.outcome == Outcome::Approved {
            let payment = decision.payment.expect("an approval names its payment");
            assert!(approved.insert(payment.payment_id.clone()), "{} is approved twice", payment.payment_id);
        }
    }
    let expected = usize::try_from(expected).expect("few payments");
    assert_eq!(approved.len(), expected);
    assert_eq!(records(topics, topic::APPROVED).count(), expected);
    let settled = records(topics, topic::SETTLEMENT_EVENTS).map(value::<SettlementEvent>);
    let is_booked = |event: &SettlementEvent| {
        event.decision.as_ref().is_some_and(|decision| decision.outcome == SettlementOutcome::Booked)
    };
    assert_eq!(settled.filter(is_booked).count(), expected);
}

fn text_header(record: &Record, name: &str) -> String {
    let mut found = record.headers.iter().filter(|candidate| &*candidate.name == name);
    let (Some(header), None) = (found.next(), found.next()) else { panic!("{name} stands once: {record:?}") };
    String::from_utf8(header.value.to_vec()).expect("text")
}

/// Each copy stands where it belongs, with the bytes and headers of its source; each source has one copy.
fn check_copies(topics: &Topics, expected: u32) {
    let mut sources = BTreeSet::new();
    for copy in records(topics, topic::REROUTED) {
        if copy.key.as_deref() == Some(b"shard-7000") {
            continue; // of somebody else
        }
        assert_eq!(text_header(copy, header::SOURCE_TOPIC), topic::REQUESTED);
        let partition: u32 = text_header(copy, header::SOURCE_PARTITION).parse().expect("a partition");
        let offset: usize = text_header(copy, header::SOURCE_OFFSET).parse().expect("an offset");
        assert!(sources.insert((partition, offset)), "{partition}@{offset} was sent twice");
        let source = &topics[&TopicPartition::new(topic::REQUESTED, partition)][offset];
        let request: PaymentRequested = value(source);
        let right = right_partition(&request);
        assert_ne!(right, partition, "{partition}@{offset} was in its right partition");
        assert_eq!(copy.partition, right);
        assert_eq!(copy.key.as_deref(), Some(request.debtor_account.as_str().as_bytes()));
        assert_eq!(copy.value, source.value);
        let (kept, added) = copy.headers.split_at(copy.headers.len() - 3);
        assert_eq!(kept, &source.headers[..3], "all but the one that Settle's own replaces, in their order");
        let names: Vec<&str> = added.iter().map(|header| &*header.name).collect();
        assert_eq!(names, [header::SOURCE_TOPIC, header::SOURCE_PARTITION, header::SOURCE_OFFSET]);
    }
    assert_eq!(u32::try_from(sources.len()), Ok(expected));
}

fn dead_letters(topics: &Topics) -> BTreeMap<(String, String), u32> {
    let mut counts = BTreeMap::new();
    for record in records(topics, topic::DEAD_LETTER) {
        let what = (text_header(record, header::SOURCE_TOPIC), text_header(record, header::CODE));
        *counts.entry(what).or_default() += 1;
    }
    counts
}

fn letter(source_topic: &str, code: &str) -> (String, String) {
    (source_topic.to_owned(), code.to_owned())
}

fn check_rerouted(topics: &Topics) {
    check_decided_once(topics);
    let expected = [
        (Outcome::Approved, PAYMENTS),
        (Outcome::Replayed, PAYMENTS / 3),
        (Outcome::Rerouted, PAYMENTS / 3 * 2),
        (Outcome::Invalid, MALFORMED + 1),
    ];
    assert_eq!(outcomes(topics), expected.into());
    check_taken(topics, PAYMENTS);
    check_copies(topics, PAYMENTS / 3 * 2);
    let expected = [
        (letter(topic::REQUESTED, reason::AMOUNT_NOT_POSITIVE), MALFORMED),
        (letter(topic::REROUTED, reason::WRONG_PARTITION), 1),
    ];
    assert_eq!(dead_letters(topics), expected.into());
    let traced = |record: &&Record| record.headers.iter().any(|header| &*header.name == header::TRACEPARENT);
    let decided = decisions(topics).len();
    assert_eq!(records(topics, topic::DECIDED).filter(traced).count(), decided, "the trace goes on");
}

#[test]
fn rerouted_requests_are_decided_once_in_their_right_partition() {
    let directory = tempfile::tempdir().expect("a folder");
    let first = run(directory.path(), WrongPartition::Reroute, Trouble::None);
    check_rerouted(&first.topics);
    let counted = first.stats.outcomes.get(&("authorize", "REROUTED")).copied();
    assert_eq!(counted, Some(u64::from(PAYMENTS / 3 * 2)));

    let again = run(directory.path(), WrongPartition::Reroute, Trouble::None);
    assert_eq!(again.topics, first.topics, "nothing is left to decide, or to send on");
    assert_eq!(again.stats.records, 0);
}

#[test]
fn rerouted_requests_are_decided_once_whatever_becomes_of_commits() {
    let troubles = [
        Trouble::Aborted { every: 3 },
        Trouble::UnknownAndLost { every: 4 },
        Trouble::UnknownAndApplied { every: 3 },
    ];
    for trouble in troubles {
        let directory = tempfile::tempdir().expect("a folder");
        let run = run(directory.path(), WrongPartition::Reroute, trouble);
        assert!(run.troubles > 10, "{trouble:?} struck {} times only", run.troubles);
        check_rerouted(&run.topics);
    }
}

#[test]
fn rejected_requests_are_dead_letters() {
    let directory = tempfile::tempdir().expect("a folder");
    let Run { topics, .. } = run(directory.path(), WrongPartition::Reject, Trouble::None);
    check_decided_once(&topics);
    let misplaced = PAYMENTS / 3 * 2 + MALFORMED;
    let expected = [(Outcome::Approved, PAYMENTS / 3 * 2), (Outcome::Invalid, misplaced + 1)];
    assert_eq!(outcomes(&topics), expected.into());
    check_taken(&topics, PAYMENTS / 3 * 2);
    check_copies(&topics, 0);
    let expected = [
        (letter(topic::REQUESTED, reason::WRONG_PARTITION), misplaced),
        (letter(topic::REROUTED, reason::WRONG_PARTITION), 1),
    ];
    assert_eq!(dead_letters(&topics), expected.into());
}
