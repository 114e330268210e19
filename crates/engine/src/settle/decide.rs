//! Judges what reaches SETTLE, and makes its events.

use settle_types::Timestamp;
use settle_types::authorize::Reason;
use settle_types::event::{EventKind, SourcePosition};
use settle_types::settle::{SettlementDecision, SettlementEvent, SettlementOutcome};

use super::command::{ApprovedRecord, Command};
use super::config::SettleConfig;
use super::context::Context;
use super::state::SettleRow;
use super::{book, close};
use crate::meta::Meta;
use crate::rows::Rows;
use crate::{LOGIC_VERSION, MIN_FOLD_VERSION};

pub(super) fn decide(
    rows: &Rows<SettleRow>,
    meta: &Meta,
    config: &SettleConfig,
    command: &Command,
    now: Timestamp,
) -> SettlementEvent {
    let context = Context { rows, meta, config, now };
    let event = |kind, input: Option<&SourcePosition>| SettlementEvent {
        sequence: meta.next_sequence,
        kind,
        now,
        logic_version: LOGIC_VERSION,
        min_fold_version: MIN_FOLD_VERSION,
        input: input.cloned(),
        ..SettlementEvent::default()
    };
    match command {
        Command::Approved(record) => {
            decide_approved(&context, record, event(EventKind::Decision, Some(&record.position)))
        }
        Command::Due { key, due, cause } => {
            close::decide_due(&context, key, due, *cause, event(EventKind::Tick, None))
        }
        Command::Activate(activation) => {
            SettlementEvent { config: Some(activation.clone()), ..event(EventKind::Config, None) }
        }
    }
}

fn decide_approved(
    context: &Context<'_>,
    record: &ApprovedRecord,
    event: SettlementEvent,
) -> SettlementEvent {
    let approved = match &record.decoded {
        Ok(approved) => approved,
        Err(malformed) => {
            let reason = Reason::new(malformed.code, malformed.detail.clone());
            let decision = SettlementDecision {
                outcome: SettlementOutcome::Invalid,
                reasons: vec![reason],
                ..SettlementDecision::default()
            };
            return SettlementEvent { decision: Some(decision), ..event };
        }
    };
    match book::book(context, approved) {
        Ok(booked) => SettlementEvent {
            decision: Some(SettlementDecision {
                outcome: SettlementOutcome::Booked,
                approved: Some(approved.clone()),
                reasons: Vec::new(),
                booking: Some(booked.booking),
            }),
            batch_opened: booked.opened,
            ledger: booked.ledger,
            ..event
        },
        Err(reason) => SettlementEvent {
            decision: Some(SettlementDecision {
                outcome: SettlementOutcome::Refused,
                approved: Some(approved.clone()),
                reasons: vec![reason],
                booking: None,
            }),
            ..event
        },
    }
}
