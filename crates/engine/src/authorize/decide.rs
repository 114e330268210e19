//! Judges a request. The checks stand in the order in which they count: the first that applies answers.
//!
//! malformed; in the wrong partition and sent to its right one; dated ahead of the clock; idempotency key used; payment
//! id used; what the kind of request asks for: rules for a PAYMENT, the original for a follow-up.

use settle_risk::{Scope, Severity};
use settle_types::authorize::{Decision, DecisionEvent, FirstDecision, Outcome, Payment, Reason, Transition};
use settle_types::event::{ConfigActivation, EventKind, SourcePosition};
use settle_types::request::EventType;
use settle_types::{Timestamp, reason};

use super::command::{Command, Judged, Request, ResultRecord, Valid, subject};
use super::config::AuthorizeConfig;
use super::judgement::{Context, Judgement};
use super::state::{self, AuthorizeRow};
use super::{follow_up, transition};
use crate::input::{Malformed, decision_id};
use crate::meta::Meta;
use crate::rows::Rows;
use crate::{LOGIC_VERSION, MIN_FOLD_VERSION};

pub(super) fn decide(
    rows: &Rows<AuthorizeRow>,
    meta: &Meta,
    config: &AuthorizeConfig,
    command: &Command,
    now: Timestamp,
) -> Vec<DecisionEvent> {
    let context = Context { rows, config, now };
    let mut events = Events { next_sequence: meta.next_sequence, now, events: Vec::with_capacity(1) };
    match command {
        Command::Request(request) => decide_request(&context, request, &mut events),
        Command::Due(scheduled) => {
            let change = transition::execution_due(&context, scheduled);
            events.transition(None, Some(change));
        }
        Command::Result(record) => decide_result(&context, record, &mut events),
        Command::Activate(activation) => events.config(activation.clone()),
    }
    events.events
}

fn decide_request(context: &Context<'_>, request: &Request, events: &mut Events) {
    let position = &request.position;
    let valid = match &request.judged {
        Judged::Valid(valid) => valid,
        Judged::Misplaced(valid, why) => return events.decision(position, rerouted(position, valid, why)),
        Judged::Malformed(malformed) => return events.decision(position, invalid(position, None, malformed)),
    };
    let payment = &valid.payment;
    if context.config.clock().is_ahead(payment.requested_at, context.now) {
        let detail = format!(
            "requested_at: {} is too far ahead of the clock at {}; check the sender's clock, or clock.max_clock_skew_seconds and clock.max_event_jump_seconds",
            payment.requested_at, context.now
        );
        let malformed = Malformed { code: reason::CLOCK_SKEW, detail };
        return events.decision(position, invalid(position, Some(payment), &malformed));
    }
    if let Some(decision) = used_before(context, position, valid) {
        return events.decision(position, decision);
    }
    let judgement = match payment.event_type {
        EventType::Payment => judge_payment(context, valid),
        _ => follow_up::judge(context, valid),
    };
    events.decision(
        position,
        Decision {
            decision_id: decision_id(position),
            outcome: judgement.outcome,
            payment: Some(payment.clone()),
            fingerprint: Some(valid.fingerprint),
            first: None,
            reasons: judgement.reasons,
            risk: judgement.risk,
            key_expires_at: Some(context.config.key_expires_at(context.now)),
            forwarded: judgement.forwarded,
            attributes: (judgement.outcome == Outcome::Scheduled).then(|| valid.attributes.clone()),
        },
    );
    for transition in judgement.transitions {
        events.transition(None, Some(transition));
    }
}

fn decide_result(context: &Context<'_>, record: &ResultRecord, events: &mut Events) {
    let position = &record.position;
    match &record.decoded {
        Ok(result) => {
            let changes = transition::settlement_refusal(context, result);
            events.transitions_of_input(position, changes);
        }
        Err(malformed) => events.decision(position, invalid(position, None, malformed)),
    }
}

fn invalid(position: &SourcePosition, payment: Option<&Payment>, malformed: &Malformed) -> Decision {
    Decision {
        decision_id: decision_id(position),
        outcome: Outcome::Invalid,
        payment: payment.cloned(),
        reasons: vec![Reason::new(malformed.code, malformed.detail.clone())],
        ..Decision::default()
    }
}

/// Sent to its right partition and judged there: nothing that this partition knows is asked or changed.
fn rerouted(position: &SourcePosition, valid: &Valid, why: &Malformed) -> Decision {
    Decision {
        decision_id: decision_id(position),
        outcome: Outcome::Rerouted,
        payment: Some(valid.payment.clone()),
        fingerprint: Some(valid.fingerprint),
        reasons: vec![Reason::new(why.code, why.detail.clone())],
        ..Decision::default()
    }
}

/// The answer to a request whose key or payment id was used before.
fn used_before(context: &Context<'_>, position: &SourcePosition, valid: &Valid) -> Option<Decision> {
    let payment = &valid.payment;
    let answer = |outcome, decision_id: &settle_types::DecisionId, first_outcome, reason| Decision {
        decision_id: crate::input::decision_id(position),
        outcome,
        payment: Some(payment.clone()),
        fingerprint: Some(valid.fingerprint),
        first: Some(FirstDecision { decision_id: decision_id.clone(), outcome: first_outcome }),
        reasons: vec![reason],
        ..Decision::default()
    };
    let used_key = state::idempotency(context.rows.get(&valid.idempotency_row));
    let used_key = used_key.filter(|row| row.expires_at > context.now);
    if let Some(used) = used_key {
        let is_retry = used.fingerprint == valid.fingerprint;
        let (outcome, reason) = if is_retry {
            (Outcome::Replayed, Reason::new(reason::REPLAY, format!("a retry of {}", used.decision_id)))
        } else {
            let detail = format!(
                "idempotency_key: used by {} for payment {} with other content; use a new key for a new intent",
                used.decision_id, used.payment_id
            );
            (Outcome::Conflict, Reason::new(reason::IDEMPOTENCY_KEY_REUSED, detail))
        };
        return Some(answer(outcome, &used.decision_id, used.outcome, reason));
    }
    let used_id = context.payment(&valid.own_row).filter(|row| row.status != Outcome::Declined)?;
    let detail = format!(
        "payment_id: used by {} under another idempotency key; a retry carries the key of the first attempt",
        used_id.decision_id
    );
    let reason = Reason::new(reason::PAYMENT_ID_REUSED, detail);
    Some(answer(Outcome::Conflict, &used_id.decision_id, used_id.status, reason))
}

fn judge_payment(context: &Context<'_>, valid: &Valid) -> Judgement {
    let payment = &valid.payment;
    let subject = subject(payment, &valid.attributes);
    let today = context.today(&valid.day_row(context.now.day()));
    let verdict = context.config.rules().evaluate(Scope::Payment, &subject, today);
    let outcome = match verdict.severity {
        Severity::Decline => Outcome::Declined,
        Severity::Review => Outcome::Review,
        Severity::Approve if payment.execute_at.is_some_and(|time| time > context.now) => Outcome::Scheduled,
        Severity::Approve => Outcome::Approved,
    };
    Judgement {
        outcome,
        reasons: verdict.reasons,
        risk: Some(verdict.assessment),
        forwarded: outcome == Outcome::Approved,
        transitions: Vec::new(),
    }
}

/// Makes events with dense sequences.
struct Events {
    next_sequence: i64,
    now: Timestamp,
    events: Vec<DecisionEvent>,
}

impl Events {
    fn push(&mut self, kind: EventKind, input: Option<&SourcePosition>) -> &mut DecisionEvent {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.events.push(DecisionEvent {
            sequence,
            kind,
            now: self.now,
            logic_version: LOGIC_VERSION,
            min_fold_version: MIN_FOLD_VERSION,
            input: input.cloned(),
            ..DecisionEvent::default()
        });
        self.events.last_mut().expect("an event was pushed")
    }

    fn decision(&mut self, position: &SourcePosition, decision: Decision) {
        self.push(EventKind::Decision, Some(position)).decision = Some(decision);
    }

    fn transition(&mut self, input: Option<&SourcePosition>, transition: Option<Transition>) {
        self.push(EventKind::Transition, input).transition = transition;
    }

    /// The first event consumes the input; without a change, an empty one does.
    fn transitions_of_input(&mut self, position: &SourcePosition, changes: Vec<Transition>) {
        let mut changes = changes.into_iter();
        self.transition(Some(position), changes.next());
        for change in changes {
            self.transition(None, Some(change));
        }
    }

    fn config(&mut self, activation: ConfigActivation) {
        self.push(EventKind::Config, None).config = Some(activation);
    }
}
