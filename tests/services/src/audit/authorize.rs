//! Judges AUTHORIZE: its journal against the requests, the refusals that came back, and what it approved.

mod keys;

use std::collections::HashMap;

use super::avro::{self, Decoder};
use super::dead_letters::DeadLetters;
use super::finding::{Findings, Invariant, Place};
use super::input::{Inputs, shown};
use super::journal::Follower;
use super::read::Read;
use super::records::{
    Decision, DecisionEvent, EventKind, EventType, Outcome, Payment, PaymentApproved, PaymentRequested,
    PaymentResult, SourcePosition, Transition,
};
use super::report::Report;
use super::topic;
use keys::Keys;

/// What is known of a decision.
struct Known {
    /// After the transitions so far.
    status: Outcome,
    payment: Payment,
    partition: i32,
    now: i64,
}

/// What goes on to SETTLE.
struct Forwarded {
    decided_at: i64,
    is_written: bool,
}

struct Authorize<'a> {
    requests: Inputs<PaymentRequested>,
    results: Inputs<PaymentResult>,
    decisions: HashMap<String, Known>,
    forwarded: HashMap<String, Forwarded>,
    keys: Keys,
    dead_letters: &'a mut DeadLetters,
    findings: &'a mut Findings,
    report: &'a mut Report,
}

/// Judges the journal, and says what must be among the dead letters.
pub(super) fn check(
    read: &Read,
    approved: &Inputs<PaymentApproved>,
    dead_letters: &mut DeadLetters,
    findings: &mut Findings,
    report: &mut Report,
) {
    let mut authorize = Authorize {
        requests: Inputs::read(read, topic::REQUESTED),
        results: Inputs::read(read, topic::RESULTS),
        decisions: HashMap::new(),
        forwarded: HashMap::new(),
        keys: Keys::default(),
        dead_letters,
        findings,
        report,
    };
    let schema = avro::schema(topic::DECIDED);
    let decoder = Decoder::new(&schema);
    for (partition, content) in read.partitions(topic::DECIDED) {
        let mut follower = Follower::default();
        for record in &content.records {
            let place = Place { topic: topic::DECIDED, partition, offset: record.offset };
            match decoder.decode(record.value.as_deref()) {
                Ok(event) => authorize.event(place, &event, &mut follower),
                Err(error) => authorize.findings.add(Invariant::Format, place, error),
            }
        }
    }
    authorize.requests.report_missing(authorize.findings);
    authorize.results.report_missing(authorize.findings);
    authorize.approved(read, approved);
    let unreadable = authorize.requests.records().filter(|(_, record)| record.value.is_none()).count();
    authorize.report.requests = read.count(topic::REQUESTED);
    authorize.report.unreadable_requests = unreadable;
    authorize.report.results = read.count(topic::RESULTS);
}

impl Authorize<'_> {
    fn event(&mut self, place: Place<'_>, event: &DecisionEvent, follower: &mut Follower) {
        follower.follow(place, event.sequence, event.now, event.input.as_ref(), self.findings);
        match (event.kind, &event.input, &event.decision, &event.transition) {
            (EventKind::Decision, Some(input), Some(decision), None) => {
                self.decision(place, event.now, input, decision);
            }
            // A refusal that changes nothing moves the position and is otherwise empty.
            (EventKind::Transition, Some(input), None, transition) => {
                self.result(place, input);
                if let Some(transition) = transition {
                    self.transition(place, event.now, transition);
                }
            }
            (EventKind::Transition, None, None, Some(transition)) => {
                self.transition(place, event.now, transition);
            }
            (EventKind::Config, None, None, None) => {}
            _ => self.findings.add(Invariant::Format, place, "its parts do not fit to its kind"),
        }
    }

    /// A refusal of SETTLE that AUTHORIZE took.
    fn result(&mut self, place: Place<'_>, input: &SourcePosition) {
        if input.topic != topic::RESULTS {
            let detail = format!("a transition consumes {}", shown(input));
            self.findings.add(Invariant::I2, place, detail);
            return;
        }
        let record = self.results.consume(input, place, self.findings);
        if record.is_some_and(|record| record.value.is_none()) {
            let detail = format!("{} cannot be read, INVALID was expected", shown(input));
            self.findings.add(Invariant::Decision, place, detail);
        }
    }

    fn decision(&mut self, place: Place<'_>, now: i64, input: &SourcePosition, decision: &Decision) {
        *self.report.decisions.entry(decision.outcome).or_default() += 1;
        let id = format!("{}-{}-{}", input.topic, input.partition, input.offset);
        self.findings.equal(Invariant::Decision, place, "decision_id", &decision.decision_id, &id);
        match input.topic.as_str() {
            topic::REQUESTED => self.decision_of_request(place, input, decision),
            topic::RESULTS => {
                let record = self.results.consume(input, place, self.findings);
                let is_readable = record.is_some_and(|record| record.value.is_some());
                if is_readable || decision.outcome != Outcome::Invalid || decision.payment.is_some() {
                    self.findings.add(Invariant::Decision, place, "a refusal is no request to decide");
                }
            }
            _ => {
                let detail = format!("decides {}, which is no input of AUTHORIZE", shown(input));
                self.findings.add(Invariant::I2, place, detail);
            }
        }
        self.parts_agree(place, now, decision);
        if matches!(decision.outcome, Outcome::Invalid | Outcome::Conflict) {
            let code = decision.reasons.first().map(|reason| reason.code.clone());
            self.dead_letters.expect(input, code, decision.payment.is_none());
        }
        let Some(payment) = &decision.payment else { return };
        self.keys.decided(place, now, input, decision, &self.requests, &self.decisions, self.findings);
        if decision.key_expires_at.is_some() {
            let known =
                Known { status: decision.outcome, payment: payment.clone(), partition: place.partition, now };
            self.decisions.insert(decision.decision_id.clone(), known);
        }
        if decision.forwarded {
            self.forward(place, &decision.decision_id, now);
        }
    }

    fn decision_of_request(&mut self, place: Place<'_>, input: &SourcePosition, decision: &Decision) {
        let Some(record) = self.requests.consume(input, place, self.findings) else { return };
        match (&record.value, &decision.payment) {
            (Some(request), Some(payment)) => {
                self.findings.equal(Invariant::Decision, place, "payment", payment, &asked_for(request));
            }
            (None, Some(_)) => {
                let detail = format!("has a payment, but {} cannot be read", shown(input));
                self.findings.add(Invariant::Decision, place, detail);
            }
            (_, None) => {
                let outcome = &decision.outcome;
                self.findings.equal(Invariant::Decision, place, "outcome", outcome, &Outcome::Invalid);
            }
        }
    }

    fn parts_agree(&mut self, place: Place<'_>, now: i64, decision: &Decision) {
        let outcome = decision.outcome;
        let is_first =
            matches!(outcome, Outcome::Approved | Outcome::Declined | Outcome::Review | Outcome::Scheduled);
        let is_answer = matches!(outcome, Outcome::Replayed | Outcome::Conflict);
        let is_known = is_first || is_answer || matches!(outcome, Outcome::Invalid | Outcome::Rerouted);
        if !is_known {
            self.findings.add(Invariant::Decision, place, format!("{outcome:?} is no decision on a request"));
        }
        let has_key = decision.key_expires_at.is_some_and(|expires_at| expires_at > now);
        if has_key != is_first || decision.key_expires_at.is_some() != is_first {
            let detail =
                format!("{outcome:?} with the key used until {:?} at {now}", decision.key_expires_at);
            self.findings.add(Invariant::I8, place, detail);
        }
        if decision.first.is_some() != is_answer {
            self.findings.add(Invariant::I8, place, format!("{outcome:?} and the first decision do not fit"));
        }
        let event_type = decision.payment.as_ref().map(|payment| payment.event_type);
        // A cancellation of what still waits is final here, and does not go on.
        let may_stay = event_type == Some(EventType::Cancellation);
        let is_approved = outcome == Outcome::Approved;
        if decision.forwarded && !is_approved || !decision.forwarded && is_approved && !may_stay {
            let detail = format!("{outcome:?} {event_type:?} has forwarded = {}", decision.forwarded);
            self.findings.add(Invariant::Decision, place, detail);
        }
        if matches!(outcome, Outcome::Invalid | Outcome::Conflict | Outcome::Declined)
            && decision.reasons.is_empty()
        {
            self.findings.add(Invariant::Decision, place, format!("{outcome:?} without a reason"));
        }
    }

    fn transition(&mut self, place: Place<'_>, now: i64, transition: &Transition) {
        self.report.transitions += 1;
        let Some(known) = self.decisions.get_mut(&transition.decision_id) else {
            let detail = format!("changes {}, which was not decided before", transition.decision_id);
            self.findings.add(Invariant::Transition, place, detail);
            return;
        };
        self.findings.equal(Invariant::Transition, place, "from", &transition.from, &known.status);
        self.findings.equal(Invariant::Transition, place, "payment", &transition.payment, &known.payment);
        self.findings.equal(Invariant::Transition, place, "partition", &place.partition, &known.partition);
        known.status = transition.to;
        let has_waited = matches!(transition.from, Outcome::Scheduled | Outcome::Review);
        let goes_on = has_waited && transition.to == Outcome::Approved;
        self.findings.equal(Invariant::Transition, place, "forwarded", &transition.forwarded, &goes_on);
        if transition.forwarded {
            self.forward(place, &transition.decision_id, now);
        }
    }

    fn forward(&mut self, place: Place<'_>, decision_id: &str, decided_at: i64) {
        let forwarded = Forwarded { decided_at, is_written: false };
        if self.forwarded.insert(decision_id.to_owned(), forwarded).is_some() {
            self.findings.add(Invariant::I7, place, format!("{decision_id} goes on to SETTLE a second time"));
        }
    }

    /// Every forwarded decision is one record of `payments.approved`, and the reverse.
    fn approved(&mut self, read: &Read, approved: &Inputs<PaymentApproved>) {
        let mut partitions: HashMap<&str, i32> = HashMap::new();
        for (partition, record) in approved.records() {
            let place = Place { topic: topic::APPROVED, partition, offset: record.offset };
            // What cannot be read was written by somebody else; SETTLE has to call it INVALID.
            let Some(value) = &record.value else { continue };
            let key = read.find(topic::APPROVED, partition, record.offset).and_then(|raw| raw.key.as_deref());
            if key != Some(value.merchant_id.as_bytes()) {
                self.findings.add(Invariant::I7, place, "the key is not the merchant");
            }
            let first = *partitions.entry(&value.merchant_id).or_insert(partition);
            self.findings.equal(Invariant::I7, place, "partition of the merchant", &partition, &first);
            let Some(forwarded) = self.forwarded.get_mut(&value.decision_id) else {
                let detail = format!("no decision {} sent it on", value.decision_id);
                self.findings.add(Invariant::I7, place, detail);
                continue;
            };
            if std::mem::replace(&mut forwarded.is_written, true) {
                self.findings.add(Invariant::I7, place, format!("{} stands here again", value.decision_id));
            }
            if let Some(known) = self.decisions.get(&value.decision_id) {
                let expected = sent_on(&known.payment, &value.decision_id, forwarded.decided_at);
                self.findings.equal(Invariant::I7, place, "record", value, &expected);
            }
        }
        self.report.forwarded = self.forwarded.len();
        let missing = self.forwarded.iter().filter(|(_, forwarded)| !forwarded.is_written);
        let mut missing: Vec<&String> = missing.map(|(decision_id, _)| decision_id).collect();
        missing.sort();
        for decision_id in missing {
            self.findings.add(Invariant::I7, decision_id, "was sent on and is not in payments.approved");
        }
    }
}

fn asked_for(request: &PaymentRequested) -> Payment {
    Payment {
        event_type: request.event_type,
        payment_id: request.payment_id.clone(),
        original_payment_id: request.original_payment_id.clone(),
        idempotency_key: request.idempotency_key.clone(),
        debtor_account: request.debtor_account.clone(),
        merchant_id: request.merchant_id.clone(),
        amount_minor: request.amount_minor,
        currency: request.currency.clone(),
        payment_method: request.payment_method.clone(),
        requested_at: request.requested_at,
        execute_at: request.execute_at,
    }
}

fn sent_on(payment: &Payment, decision_id: &str, decided_at: i64) -> PaymentApproved {
    PaymentApproved {
        event_type: payment.event_type,
        payment_id: payment.payment_id.clone(),
        original_payment_id: payment.original_payment_id.clone(),
        debtor_account: payment.debtor_account.clone(),
        merchant_id: payment.merchant_id.clone(),
        amount_minor: payment.amount_minor,
        currency: payment.currency.clone(),
        payment_method: payment.payment_method.clone(),
        requested_at: payment.requested_at,
        decision_id: decision_id.to_owned(),
        decided_at,
    }
}
