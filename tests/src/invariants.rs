//! The invariants of docs/architecture.md, checked over topics as any consumer could.

use std::collections::{BTreeMap, BTreeSet};

use settle_ledger::Chain;
use settle_ledger::balance::TrialBalance;
use settle_ledger::chain::transaction_id;
use settle_types::authorize::{DecisionEvent, Outcome};
use settle_types::event::{EventKind, SourcePosition};
use settle_types::request::EventType;
use settle_types::settle::{LedgerTransaction, SettlementDecision, SettlementEvent, SettlementOutcome};
use settle_types::{Currency, Timestamp, topic};

use crate::topics::{Topics, value};

/// Sums by kind of event and currency, in minor units.
pub type Sums = BTreeMap<(EventType, Currency), i128>;

/// Checks I2, I3, I6, I7, I8, I9 and I11 over the topics of a run that came to its end.
#[track_caller]
pub fn check(topics: &Topics) {
    dense_and_in_their_partition(topics);
    one_decision_per_record(topics);
    keys_approved_once(topics);
    payments_booked_once(topics);
    ledger(topics);
    money_conserved(topics);
}

/// I3 and I11.
#[track_caller]
fn dense_and_in_their_partition(topics: &Topics) {
    let check = |partition: u32, expected: usize, sequence: i64, input: Option<&SourcePosition>| {
        assert_eq!(i64::try_from(expected), Ok(sequence), "I11: partition {partition}");
        if let Some(input) = input {
            assert_eq!(u32::try_from(input.partition), Ok(partition), "I3: {input:?}");
        }
    };
    for (partition, records) in topics.of(topic::DECIDED) {
        for (index, record) in records.iter().enumerate() {
            let event: DecisionEvent = value(record);
            check(partition, index, event.sequence, event.input.as_ref());
        }
    }
    for (partition, records) in topics.of(topic::SETTLEMENT_EVENTS) {
        for (index, record) in records.iter().enumerate() {
            let event: SettlementEvent = value(record);
            check(partition, index, event.sequence, event.input.as_ref());
        }
    }
}

/// I2: of both stages.
#[track_caller]
fn one_decision_per_record(topics: &Topics) {
    let mut decided = Vec::new();
    for event in topics.values::<DecisionEvent>(topic::DECIDED) {
        if event.kind == EventKind::Decision {
            decided.push(event.input.expect("a DECISION names its record"));
        }
    }
    for event in topics.values::<SettlementEvent>(topic::SETTLEMENT_EVENTS) {
        if event.kind == EventKind::Decision {
            decided.push(event.input.expect("a DECISION names its record"));
        }
    }
    let mut expected: Vec<SourcePosition> = Vec::new();
    for record in topics
        .records(topic::REQUESTED)
        .chain(topics.records(topic::REROUTED))
        .chain(topics.records(topic::APPROVED))
    {
        expected.push(SourcePosition {
            topic: (&*record.topic).into(),
            partition: i32::try_from(record.partition).expect("a partition number"),
            offset: i64::try_from(record.offset).expect("an offset"),
        });
    }
    decided.sort();
    expected.sort();
    assert_eq!(decided.len(), expected.len(), "I2: decisions and records");
    assert_eq!(decided, expected, "I2");
}

/// I8 in AUTHORIZE: until it expires, a key is approved or scheduled at most once.
#[track_caller]
fn keys_approved_once(topics: &Topics) {
    let mut taken: BTreeMap<(String, String, String), Timestamp> = BTreeMap::new();
    for event in topics.values::<DecisionEvent>(topic::DECIDED) {
        let Some(decision) = event.decision else { continue };
        if !matches!(decision.outcome, Outcome::Approved | Outcome::Scheduled) {
            continue;
        }
        let payment = decision.payment.expect("an approval names its payment");
        let key = (
            payment.merchant_id.to_string(),
            payment.debtor_account.to_string(),
            payment.idempotency_key.to_string(),
        );
        let expires_at = decision.key_expires_at.expect("an approval consumes its key");
        assert!(expires_at > event.now, "I8: the key of {} expires at once", decision.decision_id);
        if let Some(earlier) = taken.insert(key, expires_at) {
            assert!(earlier <= event.now, "I8: the key of {} was approved before", decision.decision_id);
        }
    }
}

/// I8 in SETTLE: a payment id is booked at most once per merchant.
#[track_caller]
fn payments_booked_once(topics: &Topics) {
    let mut booked = BTreeSet::new();
    for decision in settled(topics).filter(|decision| decision.outcome == SettlementOutcome::Booked) {
        let approved = decision.approved.expect("what is booked is known");
        let id = (approved.merchant_id.to_string(), approved.payment_id.to_string());
        assert!(booked.insert(id), "I8: {} is booked twice", approved.decision_id);
    }
}

/// I6 and I9: each transaction is sealed, balanced and in its place in the chain of its partition.
#[track_caller]
fn ledger(topics: &Topics) {
    let mut sums = TrialBalance::default();
    for (partition, records) in topics.of(topic::LEDGER_TRANSACTIONS) {
        let mut chain = Chain::default();
        for record in records {
            let transaction: LedgerTransaction = value(record);
            assert_eq!(transaction.transaction_id, transaction_id(partition, transaction.sequence), "I9");
            chain = chain.verify(&transaction).unwrap_or_else(|error| panic!("I6 or I9: {error}"));
            sums.add(&transaction);
        }
    }
    assert!(sums.is_balanced(), "I6: {:?}", sums.totals());
}

/// I7 where nothing is in flight: what was approved was booked or refused.
#[track_caller]
fn money_conserved(topics: &Topics) {
    let is_final = |settled: &SettlementDecision| {
        matches!(settled.outcome, SettlementOutcome::Booked | SettlementOutcome::Refused)
    };
    assert_eq!(sums_approved(topics), sums_settled(topics, is_final), "I7: approved = booked + refused");
}

fn settled(topics: &Topics) -> impl Iterator<Item = SettlementDecision> {
    let events = topics.values::<SettlementEvent>(topic::SETTLEMENT_EVENTS).into_iter();
    events.filter_map(|event| event.decision)
}

/// What AUTHORIZE let through, by its journal.
pub fn sums_approved(topics: &Topics) -> Sums {
    let mut sums = Sums::new();
    for event in topics.values::<DecisionEvent>(topic::DECIDED) {
        let decided =
            event.decision.filter(|decision| decision.forwarded).and_then(|decision| decision.payment);
        let changed = event.transition.filter(|change| change.forwarded).map(|change| change.payment);
        for payment in decided.into_iter().chain(changed) {
            *sums.entry((payment.event_type, payment.currency)).or_default() += payment.amount_minor.wide();
        }
    }
    sums
}

/// Sums over the approved records of which SETTLE decided so.
pub fn sums_settled(topics: &Topics, is_counted: impl Fn(&SettlementDecision) -> bool) -> Sums {
    let mut sums = Sums::new();
    for decision in settled(topics).filter(is_counted) {
        let approved = decision.approved.expect("what AUTHORIZE wrote can be read");
        *sums.entry((approved.event_type, approved.currency)).or_default() += approved.amount_minor.wide();
    }
    sums
}

/// Number of decisions of AUTHORIZE by outcome.
pub fn outcomes(topics: &Topics) -> BTreeMap<Outcome, usize> {
    let mut outcomes = BTreeMap::new();
    for decision in
        topics.values::<DecisionEvent>(topic::DECIDED).into_iter().filter_map(|event| event.decision)
    {
        *outcomes.entry(decision.outcome).or_default() += 1;
    }
    outcomes
}
