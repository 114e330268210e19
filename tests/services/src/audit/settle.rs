//! Judges SETTLE: its journal against what AUTHORIZE approved, and the ledger, payouts and results against its
//! journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::avro::{self, Decoder};
use super::batches::Batches;
use super::dead_letters::DeadLetters;
use super::finding::{Findings, Invariant, Place};
use super::input::{Inputs, shown};
use super::journal::Follower;
use super::ledger::{self, Chain, Posting, Sums};
use super::read::{Read, Record};
use super::records::{
    Booking, EventKind, EventType, LedgerTransaction, Outcome, PaymentApproved, PaymentResult, Payout,
    SettlementDecision, SettlementEvent, SettlementOutcome, SourcePosition,
};
use super::report::Report;
use super::topic;

/// What is known of a booked record.
struct Booked {
    event_type: EventType,
    amount_minor: i64,
    fee_minor: i64,
    refunded_minor: i64,
    payment_method: String,
    batch_id: String,
}

/// What the events of one partition ask other topics for.
#[derive(Default)]
struct Wanted {
    transactions: BTreeMap<i64, LedgerTransaction>,
    payouts: BTreeMap<String, Payout>,
}

struct Settle<'a> {
    approved: &'a mut Inputs<PaymentApproved>,
    booked: HashMap<(String, String), Booked>,
    batches: Batches,
    wanted: Wanted,
    results: BTreeMap<String, PaymentResult>,
    dead_letters: &'a mut DeadLetters,
    findings: &'a mut Findings,
    report: &'a mut Report,
}

/// Judges the journal and its outputs, and says what must be among the dead letters.
pub(super) fn check(
    read: &Read,
    approved: &mut Inputs<PaymentApproved>,
    dead_letters: &mut DeadLetters,
    findings: &mut Findings,
    report: &mut Report,
) {
    let mut settle = Settle {
        approved,
        booked: HashMap::new(),
        batches: Batches::default(),
        wanted: Wanted::default(),
        results: BTreeMap::new(),
        dead_letters,
        findings,
        report,
    };
    let mut sums = Sums::new();
    let journals = [topic::SETTLEMENT_EVENTS, topic::LEDGER_TRANSACTIONS, topic::PAYOUTS];
    let numbers = journals.iter().flat_map(|topic| read.partitions(topic).map(|(number, _)| number));
    // One partition after the other: its events are forgotten when its ledger was compared with them.
    for partition in numbers.collect::<BTreeSet<i32>>() {
        settle.journal(read, partition);
        settle.ledger(read, partition, &mut sums);
        settle.payouts(read, partition);
    }
    settle.approved.report_missing(settle.findings);
    settle.results(read);
    ledger::report_unbalanced("ledger.transactions", &sums, settle.findings);
    settle.report.ledger_sums = sums;
}

/// The values of one partition that can be read; the others are reported.
fn values<'r, T: serde::de::DeserializeOwned>(
    read: &'r Read,
    topic: &'static str,
    partition: i32,
    findings: &mut Findings,
    mut each: impl FnMut(Place<'static>, &'r Record, T, &mut Findings),
) {
    let schema = avro::schema(topic);
    let decoder = Decoder::new(&schema);
    let content = read.partitions(topic).find(|(number, _)| *number == partition);
    for record in content.into_iter().flat_map(|(_, content)| &content.records) {
        let place = Place { topic, partition, offset: record.offset };
        match decoder.decode(record.value.as_deref()) {
            Ok(value) => each(place, record, value, findings),
            Err(error) => findings.add(Invariant::Format, place, error),
        }
    }
}

impl Settle<'_> {
    fn journal(&mut self, read: &Read, partition: i32) {
        let schema = avro::schema(topic::SETTLEMENT_EVENTS);
        let decoder = Decoder::new(&schema);
        let mut follower = Follower::default();
        let content = read.partitions(topic::SETTLEMENT_EVENTS).find(|(number, _)| *number == partition);
        for record in content.into_iter().flat_map(|(_, content)| &content.records) {
            let place = Place { topic: topic::SETTLEMENT_EVENTS, partition, offset: record.offset };
            match decoder.decode::<SettlementEvent>(record.value.as_deref()) {
                Ok(event) => {
                    follower.follow(place, event.sequence, event.now, event.input.as_ref(), self.findings);
                    self.event(place, event);
                }
                Err(error) => self.findings.add(Invariant::Format, place, error),
            }
        }
    }

    fn event(&mut self, place: Place<'_>, event: SettlementEvent) {
        if let Some(opened) = &event.batch_opened {
            self.batches.opened(place, opened, self.findings);
        }
        match (event.kind, &event.input, &event.decision, &event.batch_closed, &event.reserve_released) {
            (EventKind::Decision, Some(input), Some(decision), None, None) => {
                self.decision(place, &event, input, decision);
            }
            (EventKind::Tick, None, None, Some(closed), None) => {
                self.report.batches_closed += 1;
                self.batches.closed(place, closed, self.findings);
                let payout_minor = closed.payout.as_ref().map_or(0, |payout| payout.amount_minor);
                let posting = Posting {
                    name: "BATCH_CLOSE",
                    merchant_id: &closed.merchant_id,
                    payment_method: "",
                    currency: &closed.currency,
                    amounts: [closed.reserve_minor, payout_minor],
                };
                self.posted(place, &event, Some(posting), &closed.batch_id, None);
            }
            (EventKind::Tick, None, None, None, Some(released)) => {
                self.report.reserves_released += 1;
                self.batches.released(place, released, self.findings);
                let posting = Posting {
                    name: "RESERVE_RELEASE",
                    merchant_id: &released.merchant_id,
                    payment_method: "",
                    currency: &released.currency,
                    amounts: [released.amount_minor, 0],
                };
                self.posted(place, &event, Some(posting), &released.into_batch_id, None);
            }
            (EventKind::Config, None, None, None, None) => {
                self.posted(place, &event, None, "", None);
            }
            _ => self.findings.add(Invariant::Format, place, "its parts do not fit to its kind"),
        }
        if let Some(payout) = event.batch_closed.and_then(|closed| closed.payout)
            && let Some(earlier) = self.wanted.payouts.insert(payout.payout_id.clone(), payout)
        {
            self.findings.add(Invariant::Payout, place, format!("{} is paid twice", earlier.payout_id));
        }
        if let Some(transaction) = event.ledger
            && let Some(earlier) = self.wanted.transactions.insert(transaction.sequence, transaction)
        {
            let detail = format!("posts {} a second time", earlier.transaction_id);
            self.findings.add(Invariant::Posting, place, detail);
        }
    }

    fn decision(
        &mut self,
        place: Place<'_>,
        event: &SettlementEvent,
        input: &SourcePosition,
        decision: &SettlementDecision,
    ) {
        *self.report.settlements.entry(decision.outcome).or_default() += 1;
        if input.topic != topic::APPROVED {
            let detail = format!("decides {}, which is no input of SETTLE", shown(input));
            self.findings.add(Invariant::I2, place, detail);
        } else if let Some(record) = self.approved.consume(input, place, self.findings) {
            self.findings.equal(Invariant::I7, place, "approved", &decision.approved, &record.value);
        }
        match (decision.outcome, &decision.approved, &decision.booking) {
            (SettlementOutcome::Booked, Some(approved), Some(booking)) => {
                self.booking(place, event, approved, booking);
                return;
            }
            (SettlementOutcome::Refused, Some(approved), None) => {
                let result = PaymentResult {
                    approved: approved.clone(),
                    outcome: Outcome::Refused,
                    refused_at: event.now,
                };
                self.results.insert(approved.decision_id.clone(), result);
            }
            (SettlementOutcome::Invalid, None, None) => {}
            (outcome, ..) => {
                self.findings.add(
                    Invariant::Format,
                    place,
                    format!("{outcome:?} with parts of another outcome"),
                );
            }
        }
        let code = decision.reasons.first().map(|reason| reason.code.clone());
        self.dead_letters.expect(input, code, decision.approved.is_none());
        self.posted(place, event, None, "", None);
    }

    fn booking(
        &mut self,
        place: Place<'_>,
        event: &SettlementEvent,
        approved: &PaymentApproved,
        booking: &Booking,
    ) {
        let merchant_id = approved.merchant_id.as_str();
        let amounts = (approved.event_type, approved.amount_minor, booking.fee_minor);
        let owner = (merchant_id, approved.currency.as_str());
        self.batches.booked(place, &booking.batch_id, owner, amounts, self.findings);
        let payment_method = match approved.event_type {
            EventType::Payment => approved.payment_method.clone(),
            _ => self.original(place, approved, booking).unwrap_or_else(|| approved.payment_method.clone()),
        };
        let posting = Posting {
            name: match approved.event_type {
                EventType::Payment => "SALE",
                EventType::Refund => "REFUND",
                EventType::Chargeback => "CHARGEBACK",
                EventType::ChargebackReversal => "CHARGEBACK_REVERSAL",
                EventType::Cancellation => "CANCELLATION",
                EventType::Unknown => {
                    self.findings.add(Invariant::Format, place, "a booking of unknown kind");
                    return;
                }
            },
            merchant_id,
            payment_method: &payment_method,
            currency: &approved.currency,
            amounts: [approved.amount_minor, booking.fee_minor.saturating_abs()],
        };
        let gives_back = matches!(approved.event_type, EventType::Refund | EventType::Cancellation);
        if gives_back && booking.fee_minor > 0 || !gives_back && booking.fee_minor < 0 {
            let detail = format!("{} with a fee of {}", posting.name, booking.fee_minor);
            self.findings.add(Invariant::Posting, place, detail);
        }
        self.posted(place, event, Some(posting), &booking.batch_id, Some(&approved.decision_id));
        let id = (approved.merchant_id.clone(), approved.payment_id.clone());
        let booked = Booked {
            event_type: approved.event_type,
            amount_minor: approved.amount_minor,
            fee_minor: booking.fee_minor,
            refunded_minor: 0,
            payment_method,
            batch_id: booking.batch_id.clone(),
        };
        if self.booked.insert(id, booked).is_some() {
            let detail = format!("{} of {merchant_id} is booked a second time", approved.payment_id);
            self.findings.add(Invariant::I8, place, detail);
        }
    }

    /// Judges a follow-up against what it is about, and says how that was paid.
    fn original(
        &mut self,
        place: Place<'_>,
        approved: &PaymentApproved,
        booking: &Booking,
    ) -> Option<String> {
        let id = approved.original_payment_id.clone().unwrap_or_default();
        let wanted_type = match approved.event_type {
            EventType::ChargebackReversal => EventType::Chargeback,
            _ => EventType::Payment,
        };
        let Some(original) = self.booked.get_mut(&(approved.merchant_id.clone(), id)) else {
            self.findings.add(Invariant::I7, place, "is about a payment that was not booked");
            return None;
        };
        self.findings.equal(Invariant::I7, place, "kind of the original", &original.event_type, &wanted_type);
        match approved.event_type {
            EventType::Refund => original.refunded_minor += approved.amount_minor,
            EventType::Cancellation => {
                let found = (approved.amount_minor, booking.fee_minor, &booking.batch_id);
                let undone = (original.amount_minor, -original.fee_minor, &original.batch_id);
                self.findings.equal(Invariant::I7, place, "what is cancelled", &found, &undone);
                original.refunded_minor += approved.amount_minor;
            }
            _ => {}
        }
        if original.refunded_minor > original.amount_minor {
            let detail = format!("{} of {} given back", original.refunded_minor, original.amount_minor);
            self.findings.add(Invariant::I7, place, detail);
        }
        Some(original.payment_method.clone())
    }

    /// The ledger transaction of an event is the one that the posting table asks for.
    fn posted(
        &mut self,
        place: Place<'_>,
        event: &SettlementEvent,
        posting: Option<Posting<'_>>,
        batch_id: &str,
        decision_id: Option<&String>,
    ) {
        let entries = posting.as_ref().map(Posting::entries).unwrap_or_default();
        let Some(transaction) = &event.ledger else {
            if !entries.is_empty() {
                self.findings.add(Invariant::Posting, place, "posts nothing");
            }
            return;
        };
        let name = posting.map_or("none", |posting| posting.name);
        let found = (transaction.posting.as_str(), transaction.batch_id.as_str());
        self.findings.equal(Invariant::Posting, place, "posting and batch", &found, &(name, batch_id));
        let found = transaction.decision_id.as_ref();
        self.findings.equal(Invariant::Posting, place, "decision_id", &found, &decision_id);
        self.findings.equal(Invariant::Posting, place, "entries", &transaction.entries, &entries);
        self.findings.equal(Invariant::Posting, place, "recorded_at", &transaction.recorded_at, &event.now);
    }

    /// The ledger of a partition is a chain of exactly the transactions of its events.
    fn ledger(&mut self, read: &Read, partition: i32, sums: &mut Sums) {
        let mut chain = Chain::default();
        let mut wanted = std::mem::take(&mut self.wanted.transactions);
        let count = &mut self.report.ledger_transactions;
        let each = |place: Place<'_>, _: &Record, transaction: LedgerTransaction, findings: &mut Findings| {
            *count += 1;
            chain.follow(place, &transaction, sums, findings);
            match wanted.remove(&transaction.sequence) {
                Some(of_event) => {
                    findings.equal(Invariant::Posting, place, "transaction", &transaction, &of_event);
                }
                None => {
                    findings.add(Invariant::Posting, place, "no event posted it, or it stands here again");
                }
            }
        };
        values(read, topic::LEDGER_TRANSACTIONS, partition, self.findings, each);
        for transaction in wanted.into_values() {
            let place = format!("{} {}", topic::LEDGER_TRANSACTIONS, transaction.transaction_id);
            self.findings.add(Invariant::Posting, place, "was posted and is not in the ledger");
        }
    }

    /// The payouts of a partition are exactly those of its events.
    fn payouts(&mut self, read: &Read, partition: i32) {
        let mut wanted = std::mem::take(&mut self.wanted.payouts);
        let report = &mut *self.report;
        let each = |place: Place<'_>, record: &Record, payout: Payout, findings: &mut Findings| {
            report.payouts += 1;
            *report.paid_out_minor.entry(payout.currency.clone()).or_default() +=
                i128::from(payout.amount_minor);
            if record.key.as_deref() != Some(payout.merchant_id.as_bytes()) {
                findings.add(Invariant::Payout, place, "the key is not the merchant");
            }
            match wanted.remove(&payout.payout_id) {
                Some(of_event) => findings.equal(Invariant::Payout, place, "payout", &payout, &of_event),
                None => findings.add(Invariant::Payout, place, "no event paid it, or it stands here again"),
            }
        };
        values(read, topic::PAYOUTS, partition, self.findings, each);
        for payout_id in wanted.into_keys() {
            self.findings.add(Invariant::Payout, payout_id, "was paid and is not in settlement.payouts");
        }
    }

    /// The results are exactly the refusals.
    fn results(&mut self, read: &Read) {
        let mut wanted = std::mem::take(&mut self.results);
        for (partition, _) in read.partitions(topic::RESULTS) {
            let each = |place: Place<'_>, record: &Record, result: PaymentResult, findings: &mut Findings| {
                if record.key.as_deref() != Some(result.approved.debtor_account.as_bytes()) {
                    findings.add(Invariant::Result, place, "the key is not the debtor");
                }
                match wanted.remove(&result.approved.decision_id) {
                    Some(of_event) => findings.equal(Invariant::Result, place, "result", &result, &of_event),
                    None => {
                        findings.add(Invariant::Result, place, "nothing was refused, or it stands here again")
                    }
                }
            };
            // What cannot be read was written by somebody else; AUTHORIZE has to call it INVALID.
            let mut unreadable = Findings::default();
            values(read, topic::RESULTS, partition, &mut unreadable, each);
            for violation in unreadable.into_violations() {
                if violation.invariant != Invariant::Format {
                    self.findings.add(violation.invariant, violation.place, violation.detail);
                }
            }
        }
        for decision_id in wanted.into_keys() {
            self.findings.add(Invariant::Result, decision_id, "was refused and is not in payments.results");
        }
    }
}
