//! Judges what reaches SETTLE, and makes its events.

use settle_ledger::chain::Draft;
use settle_types::event::{EventKind, SourcePosition};
use settle_types::settle::{
    LedgerTransaction, SettlementDecision, SettlementEvent, SettlementOutcome,
};
use settle_types::{MerchantId, Currency, Timestamp};

use settle_types::authorize::Reason;

use super::command::{ApprovedRecord, Command};
use super::config::SettleConfig;
use super::state::{self, CursorRow, SettleRow};
use super::{book, close};
use crate::meta::Meta;
use crate::rows::Rows;
use crate::{LOGIC_VERSION, MIN_FOLD_VERSION};

/// What a decision looks at.
pub(super) struct Context<'a> {
    pub(super) rows: &'a Rows<SettleRow>,
    pub(super) meta: &'a Meta,
    pub(super) config: &'a SettleConfig,
    pub(super) now: Timestamp,
}

impl Context<'_> {
    /// Where the merchant stands.
    pub(super) fn cursor(&self, merchant: &MerchantId, currency: Currency) -> CursorRow {
        state::cursor(self.rows.get(&state::cursor_key(merchant, currency))).copied().unwrap_or_default()
    }

    /// Seals what is to be posted. Nothing to post: no transaction.
    pub(super) fn seal(&self, draft: Draft) -> Option<LedgerTransaction> {
        if draft.entries.is_empty() {
            return None;
        }
        let partition = u32::try_from(self.meta.partition).expect("partitions are numbered from 0");
        let sealed = self.meta.chain.seal(partition, draft);
        Some(sealed.expect("I6: the posting table gives balanced entries above zero"))
    }
}

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
