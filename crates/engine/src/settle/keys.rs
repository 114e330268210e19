//! Names the rows that a command or an event reads, in stages: what was found may name more.

use settle_ledger::Account;
use settle_types::authorize::PaymentApproved;
use settle_types::settle::{Entry, SettlementEvent};
use settle_types::{Currency, MerchantId, Timestamp};

use super::command::Command;
use super::state::{self, DueRow, SettleRow};
use crate::rows::Rows;
use crate::state_key::StateKey;

/// Adds what the command still needs.
pub(super) fn of_command(
    command: &Command,
    _now: Timestamp,
    rows: &Rows<SettleRow>,
    missing: &mut Vec<StateKey>,
) {
    match command {
        Command::Approved(record) => {
            let Ok(approved) = &record.decoded else { return };
            of_approved(approved, rows, missing);
            let payable = Account::MerchantPayable(approved.merchant_id.clone()).name();
            need(state::balance_key(&payable, approved.currency), rows, missing);
        }
        Command::Due { due, .. } => of_due(due, rows, missing),
        Command::Activate(_) => {}
    }
}

/// Adds what folding the event still needs.
pub(super) fn of_event(event: &SettlementEvent, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    let decision = event.decision.as_ref();
    let booked = decision.filter(|decision| decision.booking.is_some());
    if let Some(approved) = booked.and_then(|decision| decision.approved.as_ref()) {
        of_approved(approved, rows, missing);
    }
    if let Some(closed) = &event.batch_closed {
        of_batch(&closed.merchant_id, closed.currency, rows, missing);
    }
    if let Some(released) = &event.reserve_released {
        of_batch(&released.merchant_id, released.currency, rows, missing);
    }
    for Entry { account, currency, .. } in event.ledger.iter().flat_map(|transaction| &transaction.entries) {
        need(state::balance_key(account, *currency), rows, missing);
    }
}

fn of_approved(approved: &PaymentApproved, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    need(state::booked_key(&approved.merchant_id, &approved.payment_id), rows, missing);
    of_batch(&approved.merchant_id, approved.currency, rows, missing);
    let Some(original_id) = &approved.original_payment_id else { return };
    let original_key = state::booked_key(&approved.merchant_id, original_id);
    if let Some(original) = state::booked(rows.found(&original_key)) {
        let currency = original.approved.currency;
        need(state::batch_key(&approved.merchant_id, currency, original.sales_day), rows, missing);
    }
    need(original_key, rows, missing);
}

fn of_due(due: &DueRow, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    match due {
        DueRow::CutOff { merchant_id, currency, .. }
        | DueRow::ReserveRelease { merchant_id, currency, .. } => {
            of_batch(merchant_id, *currency, rows, missing);
        }
    }
}

/// The merchant's cursor, and the batch that it says is open.
fn of_batch(merchant: &MerchantId, currency: Currency, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    let cursor_key = state::cursor_key(merchant, currency);
    if let Some(open_day) = state::cursor(rows.found(&cursor_key)).and_then(|cursor| cursor.open_day) {
        need(state::batch_key(merchant, currency, open_day), rows, missing);
    }
    need(cursor_key, rows, missing);
}

fn need(key: StateKey, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    if !rows.is_known(&key) {
        missing.push(key);
    }
}
