//! The invariants of the design, checked from the outside: over journals, outputs and rows.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use settle_engine::authorize::AuthorizeRow;
use settle_engine::settle::{Settle, SettleRow};
use settle_engine::{Meta, Payload, Stage, StateKey};
use settle_ledger::{Chain, TrialBalance};
use settle_types::authorize::{DecisionEvent, Fingerprint, Outcome, Payment};
use settle_types::request::EventType;
use settle_types::settle::{BatchStatus, BatchTotals, Direction, SettlementEvent, SettlementOutcome};
use settle_types::{Timestamp, topic};

use super::harness::{Harness, fold};
use super::pipeline::Pipeline;

pub fn check_dense<S: Stage>(harness: &Harness<S>) -> Result<(), TestCaseError> {
    let mut now = Timestamp::MIN;
    for (index, event) in harness.journal.iter().enumerate() {
        let envelope = S::envelope(event);
        prop_assert_eq!(usize::try_from(envelope.sequence), Ok(index), "I11");
        prop_assert!(envelope.now >= now, "the clock of a partition never goes backwards");
        now = envelope.now;
    }
    prop_assert_eq!(usize::try_from(harness.meta.next_sequence), Ok(harness.journal.len()));
    Ok(())
}

/// I6 and I9, of one partition's ledger.
pub fn check_ledger(pipeline: &Pipeline, partition: usize) -> Result<(), TestCaseError> {
    let mut chain = Chain::default();
    let mut trial = TrialBalance::default();
    for transaction in pipeline.ledger(partition) {
        let mut sums: BTreeMap<_, i128> = BTreeMap::new();
        for entry in &transaction.entries {
            let amount = i128::from(entry.amount_minor.get());
            prop_assert!(amount > 0);
            let sign = if entry.direction == Direction::Debit { 1 } else { -1 };
            *sums.entry(entry.currency).or_default() += sign * amount;
        }
        prop_assert!(sums.values().all(|sum| *sum == 0), "I6: {:?}", transaction);
        chain = chain.verify(transaction).map_err(|error| TestCaseError::fail(format!("I9: {error}")))?;
        let (number, _) = transaction.transaction_id.split_once('-').expect("partition and sequence");
        prop_assert_eq!(number, partition.to_string());
        trial.add(transaction);
        prop_assert!(trial.is_balanced(), "I6: over the whole ledger, at every point");
    }
    prop_assert_eq!(
        chain,
        pipeline.settle[partition].meta.chain,
        "the head in the state is that of the topic"
    );
    Ok(())
}

/// I7, first half: approved = booked + refused + in flight, by kind and currency.
pub fn check_conservation(pipeline: &Pipeline) -> Result<(), TestCaseError> {
    type Sums = BTreeMap<(EventType, String), (usize, i128)>;
    let add = |sums: &mut Sums, approved: &settle_types::authorize::PaymentApproved| {
        let entry = sums.entry((approved.event_type, approved.currency.to_string())).or_default();
        *entry = (entry.0 + 1, entry.1 + approved.amount_minor.wide());
    };
    let mut approved = Sums::new();
    for output in pipeline.authorize.iter().flat_map(|harness| &harness.outputs) {
        if let Payload::Approved(record) = &output.payload {
            add(&mut approved, record);
        }
    }
    let mut accounted = Sums::new();
    for event in pipeline.settle.iter().flat_map(|harness| &harness.journal) {
        let Some(decision) = &event.decision else { continue };
        let is_answered = matches!(decision.outcome, SettlementOutcome::Booked | SettlementOutcome::Refused);
        prop_assert!(is_answered);
        add(&mut accounted, decision.approved.as_ref().expect("the streams send records"));
    }
    pipeline.in_flight().for_each(|record| add(&mut accounted, record));
    prop_assert_eq!(approved, accounted, "I7");
    Ok(())
}

/// I7, second half, from the batches' side: what is owed to a merchant is the net of the open batch or what the
/// last one carried; what is kept back waits for its release; what was paid out is in transit.
pub fn check_positions(harness: &mut Harness<Settle>) -> Result<(), TestCaseError> {
    type Sums = BTreeMap<(String, String), i128>;
    let mut expected = Sums::new();
    let mut add = |account: String, currency: &str, amount: i128| {
        *expected.entry((account, currency.to_owned())).or_default() += amount;
    };
    let state = harness.state();
    for (key, row) in &state {
        match row {
            SettleRow::Batch(batch) => {
                let (merchant, currency) = position_of(batch.batch_id.as_str());
                if batch.status == BatchStatus::Open {
                    add(format!("merchant:{merchant}:payable"), currency, net(&batch.totals));
                }
                let paid = batch.payout.as_ref().map_or(0, |(_, amount, _)| amount.wide());
                add(format!("merchant:{merchant}:in-transit"), currency, paid);
                let totals = &batch.totals;
                let disputed = totals.chargebacks_minor.wide() - totals.reversals_minor.wide();
                add(format!("chargeback:{merchant}:suspense"), currency, disputed);
                add("revenue:fees".to_owned(), currency, totals.fees_minor.wide());
                add(
                    "all receivables".to_owned(),
                    currency,
                    totals.refunds_minor.wide() - totals.sales_minor.wide(),
                );
                let reserve = batch.reserve.wide() - totals.reserve_released_minor.wide();
                add(format!("merchant:{merchant}:reserve"), currency, reserve);
                let leaves = batch.reserve.wide() + paid + batch.carried_out.wide();
                let is_closed = batch.status != BatchStatus::Open;
                prop_assert!(!is_closed || leaves == net(totals), "a batch divides its net: {:?}", batch);
            }
            SettleRow::Cursor(cursor) => {
                let open = state.iter().filter(|(_, row)| is_open_batch_of(row, key));
                prop_assert_eq!(open.count(), usize::from(cursor.open_day.is_some()));
                let (merchant, currency) = cursor_position(key);
                add(format!("merchant:{merchant}:payable"), &currency, cursor.carried.wide());
                let waiting = waiting_reserves(&state, &merchant, &currency);
                prop_assert_eq!(cursor.reserved.wide(), waiting, "what is kept back waits for its release");
            }
            _ => {}
        }
    }
    expected.retain(|_, amount| *amount != 0);
    let mut found = Sums::new();
    for output in &harness.outputs {
        let Payload::Ledger(transaction) = &output.payload else { continue };
        for entry in &transaction.entries {
            let account =
                if entry.account.starts_with("scheme:") { "all receivables" } else { &entry.account };
            let sum = found.entry((account.to_owned(), entry.currency.to_string())).or_default();
            *sum -= settle_ledger::signed(entry);
        }
    }
    found.retain(|_, amount| *amount != 0);
    prop_assert_eq!(found, expected, "I7: every minor unit is accounted for");
    Ok(())
}

fn net(totals: &BatchTotals) -> i128 {
    let BatchTotals { sales_minor, reversals_minor, reserve_released_minor, carried_in_minor, .. } = totals;
    let gained = [sales_minor, reversals_minor, reserve_released_minor, carried_in_minor];
    let lost = [totals.fees_minor, totals.refunds_minor, totals.chargebacks_minor];
    gained.iter().map(|amount| amount.wide()).sum::<i128>()
        - lost.iter().map(|amount| amount.wide()).sum::<i128>()
}

/// Merchant and currency of `m0:EUR:2026-03-02`.
fn position_of(batch_id: &str) -> (&str, &str) {
    let mut parts = batch_id.split(':');
    (parts.next().expect("a merchant"), parts.next().expect("a currency"))
}

/// Merchant and currency of a cursor's key: the table, then texts of two and of three bytes after their length.
fn cursor_position(key: &StateKey) -> (String, String) {
    let bytes = key.as_bytes();
    let text = |range: std::ops::Range<usize>| String::from_utf8(bytes[range].to_vec()).expect("text");
    (text(3..5), text(7..10))
}

fn is_open_batch_of(row: &SettleRow, cursor_key: &StateKey) -> bool {
    let SettleRow::Batch(batch) = row else { return false };
    let (merchant, currency) = cursor_position(cursor_key);
    batch.status == BatchStatus::Open && position_of(batch.batch_id.as_str()) == (&merchant, &currency)
}

fn waiting_reserves(state: &BTreeMap<StateKey, SettleRow>, merchant: &str, currency: &str) -> i128 {
    use settle_engine::settle::state::DueRow;
    let mut sum = 0;
    for row in state.values() {
        let SettleRow::Due(DueRow::ReserveRelease { merchant_id, currency: code, amount, .. }) = row else {
            continue;
        };
        if merchant_id.as_str() == merchant && code.as_str() == currency {
            sum += amount.wide();
        }
    }
    sum
}

/// I8, first half: a key is consumed again only after its retention.
pub fn check_keys_answer_once(journal: &[DecisionEvent]) -> Result<(), TestCaseError> {
    let mut free_at: BTreeMap<_, Timestamp> = BTreeMap::new();
    let mut decided = BTreeSet::new();
    for event in journal {
        let Some(decision) = &event.decision else { continue };
        prop_assert!(decided.insert(decision.decision_id.clone()), "I2: one decision for each request");
        let (Some(payment), Some(expires_at)) = (&decision.payment, decision.key_expires_at) else {
            continue;
        };
        let key =
            (payment.merchant_id.clone(), payment.debtor_account.clone(), payment.idempotency_key.clone());
        let before = free_at.insert(key, expires_at);
        prop_assert!(before.is_none_or(|free_at| free_at <= event.now), "I8: {:?}", decision);
    }
    Ok(())
}

/// With nothing in flight: what was sent to its right partition was decided there, once, and sent no further; what was
/// not was refused.
pub fn check_rerouted(pipeline: &Pipeline) -> Result<(), TestCaseError> {
    let mut sent = Vec::new();
    let mut decided = Vec::new();
    for harness in &pipeline.authorize {
        let copies =
            harness.outputs.iter().filter(|output| matches!(output.payload, Payload::Rerouted { .. }));
        let mut sent_from_here = 0;
        for event in &harness.journal {
            let (Some(decision), Some(input)) = (&event.decision, &event.input) else { continue };
            let content = (decision.payment.clone(), decision.fingerprint);
            if decision.outcome == Outcome::Rerouted {
                prop_assert_eq!(&*input.topic, topic::REQUESTED, "nothing is sent on twice");
                prop_assert!(decision.key_expires_at.is_none() && !decision.forwarded, "{:?}", decision);
                sent_from_here += 1;
                sent.push(content);
            } else if &*input.topic == topic::REROUTED {
                // Dated ahead of the clock of its right partition: it is known, but not by its content.
                let is_ahead = decision.outcome == Outcome::Invalid;
                prop_assert!(is_ahead || decision.fingerprint.is_some(), "{:?}", decision);
                decided.push(content);
            }
        }
        prop_assert_eq!(copies.count(), sent_from_here, "one copy for each that is REROUTED");
    }
    let order = |(payment, _): &(Option<Payment>, Option<Fingerprint>)| format!("{payment:?}");
    sent.sort_by_key(order);
    decided.sort_by_key(order);
    prop_assert_eq!(sent.len(), decided.len(), "each is decided once");
    for (sent, decided) in sent.iter().zip(&decided) {
        prop_assert_eq!(&sent.0, &decided.0, "what is decided is what was sent");
        prop_assert!(decided.1.is_none() || sent.1 == decided.1, "with the same content");
    }
    Ok(())
}

/// I8, second half: a payment id is booked once per merchant while it is remembered.
pub fn check_booked_once(journal: &[SettlementEvent]) -> Result<(), TestCaseError> {
    let mut booked: BTreeMap<_, Timestamp> = BTreeMap::new();
    for event in journal {
        let Some(decision) = event.decision.as_ref().filter(|decision| decision.booking.is_some()) else {
            continue;
        };
        let approved = decision.approved.as_ref().expect("what is booked was read");
        let before = booked.insert((approved.merchant_id.clone(), approved.payment_id.clone()), event.now);
        let kept = settle_engine::settle::state::PAYMENT_RETENTION;
        prop_assert!(before.is_none_or(|then| then.saturating_add(kept) <= event.now), "I8: {:?}", decision);
    }
    Ok(())
}

/// With nothing in flight, AUTHORIZE and SETTLE agree on each payment: what stands is booked, with the same
/// refunds and disputes; what was refused or cancelled is not.
pub fn check_stages_agree(pipeline: &mut Pipeline) -> Result<(), TestCaseError> {
    let mut booked = BTreeMap::new();
    let mut disputed: BTreeMap<_, i128> = BTreeMap::new();
    let mut chargebacks = BTreeMap::new();
    for harness in &mut pipeline.settle {
        for row in harness.state().into_values() {
            let SettleRow::Booked(row) = row else { continue };
            let id = |id: &settle_types::PaymentId| (row.approved.merchant_id.clone(), id.clone());
            match (row.approved.event_type, row.approved.original_payment_id.as_ref()) {
                (EventType::Payment, _) => {
                    booked.insert(
                        id(&row.approved.payment_id),
                        (row.approved.decision_id.clone(), row.is_cancelled, row.refunded),
                    );
                }
                (EventType::Chargeback, Some(original)) => {
                    *disputed.entry(id(original)).or_default() += row.approved.amount_minor.wide();
                    chargebacks.insert(id(&row.approved.payment_id), id(original));
                }
                _ => {}
            }
        }
    }
    for event in pipeline.settle.iter().flat_map(|harness| &harness.journal) {
        let Some(approved) = event.decision.as_ref().filter(|decision| decision.booking.is_some()) else {
            continue;
        };
        let approved = approved.approved.as_ref().expect("what is booked was read");
        if approved.event_type != EventType::ChargebackReversal {
            continue;
        }
        let original = approved.original_payment_id.clone().expect("a reversal names its chargeback");
        let payment = chargebacks[&(approved.merchant_id.clone(), original)].clone();
        *disputed.entry(payment).or_default() -= approved.amount_minor.wide();
    }
    for harness in &mut pipeline.authorize {
        for row in harness.live_state().into_values() {
            let AuthorizeRow::Payment(row) = row else { continue };
            if row.payment.event_type != EventType::Payment {
                continue;
            }
            let id = (row.payment.merchant_id.clone(), row.payment.payment_id.clone());
            let of_settle = booked.get(&id).filter(|(decision_id, ..)| *decision_id == row.decision_id);
            let stands = of_settle.is_some_and(|(_, is_cancelled, _)| !is_cancelled);
            prop_assert_eq!(row.status == Outcome::Approved, stands, "{:?}", row);
            if let Some((_, false, refunded)) = of_settle {
                prop_assert_eq!(row.refunded, *refunded, "{:?}", row);
                prop_assert_eq!(row.disputed.wide(), disputed.get(&id).copied().unwrap_or(0), "{:?}", row);
            }
        }
    }
    Ok(())
}

pub fn check_fold<S: Stage>(
    harness: &mut Harness<S>,
    restart: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let live: (BTreeMap<StateKey, S::Row>, Meta) = (harness.state(), harness.meta.clone());
    let restart_before = restart.index(harness.journal.len());
    prop_assert_eq!(&fold::<S>(harness.meta.partition, &harness.journal, usize::MAX), &live, "I10");
    prop_assert_eq!(&fold::<S>(harness.meta.partition, &harness.journal, restart_before), &live, "I10");
    Ok(())
}
