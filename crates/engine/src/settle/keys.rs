//! Names the rows that a command or an event reads, in stages: what was found may name more.

use settle_types::authorize::PaymentApproved;
use settle_types::request::EventType;
use settle_types::settle::{Booking, Entry, SettlementEvent};
use settle_types::{Currency, MerchantId, Timestamp};

use super::command::{ApprovedRecord, Command};
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
        Command::Approved(record) => of_record(record, rows, missing),
        Command::Due { due, .. } => of_due(due, rows, missing),
        Command::Activate(_) => {}
    }
}

fn of_record(record: &ApprovedRecord, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    let Ok(approved) = &record.decoded else { return };
    let PaymentApproved { merchant_id, payment_id, currency, .. } = approved;
    rows.need(&state::booked_key(merchant_id, payment_id), missing);
    of_open_batch(merchant_id, *currency, rows, missing);
    if approved.event_type == EventType::Refund {
        rows.need(&state::payable_key(merchant_id, *currency), missing);
    }
    let Some(original_id) = &approved.original_payment_id else { return };
    let original_key = state::booked_key(merchant_id, original_id);
    match state::booked(rows.found(&original_key)) {
        Some(original) => {
            let currency = original.approved.currency;
            rows.need(&state::batch_key(merchant_id, currency, original.sales_day), missing);
        }
        None => rows.need(&original_key, missing),
    }
}

/// Adds what folding the event still needs.
pub(super) fn of_event(event: &SettlementEvent, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    if let Some(opened) = &event.batch_opened {
        rows.need(&state::cursor_key(&opened.merchant_id, opened.currency), missing);
    }
    let decision = event.decision.as_ref();
    if let Some(decision) = decision
        && let (Some(approved), Some(booking)) = (&decision.approved, &decision.booking)
    {
        of_booking(approved, booking, rows, missing);
    }
    if let Some(closed) = &event.batch_closed {
        rows.need(&state::cursor_key(&closed.merchant_id, closed.currency), missing);
        rows.need(&state::batch_key(&closed.merchant_id, closed.currency, closed.sales_day), missing);
    }
    if let Some(released) = &event.reserve_released {
        of_open_batch(&released.merchant_id, released.currency, rows, missing);
    }
    for Entry { account, currency, .. } in event.ledger.iter().flat_map(|transaction| &transaction.entries) {
        rows.need(&state::balance_key(account, *currency), missing);
    }
}

fn of_booking(
    approved: &PaymentApproved,
    booking: &Booking,
    rows: &Rows<SettleRow>,
    missing: &mut Vec<StateKey>,
) {
    rows.need(&state::batch_key(&approved.merchant_id, approved.currency, booking.sales_day), missing);
    if let Some(original_id) = &approved.original_payment_id {
        rows.need(&state::booked_key(&approved.merchant_id, original_id), missing);
    }
}

fn of_due(due: &DueRow, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
    match due {
        DueRow::CutOff { merchant_id, currency, .. }
        | DueRow::ReserveRelease { merchant_id, currency, .. } => {
            of_open_batch(merchant_id, *currency, rows, missing);
        }
    }
}

/// The merchant's cursor, and the batch that it says is open.
fn of_open_batch(
    merchant: &MerchantId,
    currency: Currency,
    rows: &Rows<SettleRow>,
    missing: &mut Vec<StateKey>,
) {
    let cursor_key = state::cursor_key(merchant, currency);
    match state::cursor(rows.found(&cursor_key)) {
        Some(cursor) => {
            if let Some(open_day) = cursor.open_day {
                rows.need(&state::batch_key(merchant, currency, open_day), missing);
            }
        }
        None => rows.need(&cursor_key, missing),
    }
}
