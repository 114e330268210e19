//! Applies events of SETTLE to its state. No judgement: what happened was decided.

use settle_ledger::balance::signed;
use settle_ledger::chain::Chain;
use settle_types::Timestamp;
use settle_types::authorize::PaymentApproved;
use settle_types::request::EventType;
use settle_types::settle::{
    BatchClosed, BatchOpened, BatchStatus, BatchTotals, Booking, LedgerTransaction, ReserveReleased,
    SettlementEvent,
};
use settle_types::{BatchId, Currency, Day, MerchantId, Minor};

use super::book::add_to_totals;
use super::state::{self, BatchRow, BookedRow, CursorRow, DueRow, PAYMENT_RETENTION, SettleRow};
use crate::meta::Meta;
use crate::rows::Rows;
use crate::state_key::StateKey;

pub(super) fn evolve(rows: &mut Rows<SettleRow>, meta: &mut Meta, event: &SettlementEvent) {
    meta.advance(event.sequence, event.now, event.input.as_ref());
    if let Some(opened) = &event.batch_opened {
        open_batch(rows, opened);
    }
    if let Some(decision) = &event.decision
        && let (Some(approved), Some(booking)) = (&decision.approved, &decision.booking)
    {
        apply_booking(rows, event.now, approved, booking);
    }
    if let Some(closed) = &event.batch_closed {
        close_batch(rows, closed);
    }
    if let Some(released) = &event.reserve_released {
        release_reserve(rows, released);
    }
    if let Some(transaction) = &event.ledger {
        meta.chain = post(rows, &meta.chain, transaction);
    }
    if let Some(activation) = &event.config {
        rows.put(StateKey::config(), SettleRow::Config(activation.clone()));
    }
}

fn open_batch(rows: &mut Rows<SettleRow>, opened: &BatchOpened) {
    let BatchOpened { batch_id, merchant_id, currency, sales_day, cut_off_at, carried_in_minor } = opened;
    let totals = BatchTotals { carried_in_minor: *carried_in_minor, ..BatchTotals::default() };
    rows.put(
        state::batch_key(merchant_id, *currency, *sales_day),
        SettleRow::Batch(Box::new(BatchRow {
            batch_id: batch_id.clone(),
            status: BatchStatus::Open,
            totals,
            cut_off_at: *cut_off_at,
            closed_by: None,
            reserve: Minor::ZERO,
            carried_out: Minor::ZERO,
            payout: None,
        })),
    );
    let due = cut_off(merchant_id, *currency, *sales_day);
    rows.put(state::due_key(*cut_off_at, &due), SettleRow::Due(due));
    change_cursor(rows, merchant_id, *currency, |cursor| {
        assert!(cursor.open_day.is_none(), "one batch of a merchant and currency is open at a time");
        cursor.open_day = Some(*sales_day);
        cursor.carried = Minor::ZERO;
    });
}

fn cut_off(merchant_id: &MerchantId, currency: Currency, sales_day: Day) -> DueRow {
    DueRow::CutOff { merchant_id: merchant_id.clone(), currency, sales_day }
}

fn apply_booking(rows: &mut Rows<SettleRow>, now: Timestamp, approved: &PaymentApproved, booking: &Booking) {
    let PaymentApproved { event_type, merchant_id, amount_minor, currency, .. } = approved;
    change_batch(rows, merchant_id, *currency, booking.sales_day, |row| {
        add_to_totals(&mut row.totals, *event_type, *amount_minor, booking.fee_minor)
            .expect("the sums of a batch were checked when it was decided");
    });
    if let Some(original_id) = &approved.original_payment_id {
        rows.change(&state::booked_key(merchant_id, original_id), |row| {
            let Some(original) = state::booked_mut(row).filter(|row| row.expires_at > now) else { return };
            match event_type {
                EventType::Refund => {
                    let refunded = original.refunded.plus(*amount_minor);
                    original.refunded = refunded.expect("refunds never exceed their original");
                }
                EventType::Cancellation => original.is_cancelled = true,
                _ => {}
            }
        });
    }
    rows.put(
        state::booked_key(merchant_id, &approved.payment_id),
        SettleRow::Booked(Box::new(BookedRow {
            approved: approved.clone(),
            batch_id: booking.batch_id.clone(),
            sales_day: booking.sales_day,
            fee: booking.fee_minor,
            refunded: Minor::ZERO,
            is_cancelled: false,
            expires_at: now.saturating_add(PAYMENT_RETENTION),
        })),
    );
}

fn close_batch(rows: &mut Rows<SettleRow>, closed: &BatchClosed) {
    let BatchClosed { merchant_id, currency, sales_day, .. } = closed;
    let cut_off_at = change_batch(rows, merchant_id, *currency, *sales_day, |row| {
        row.status = closed.status;
        row.closed_by = Some(closed.cause);
        row.reserve = closed.reserve_minor;
        row.carried_out = closed.carried_out_minor;
        row.payout = closed
            .payout
            .as_ref()
            .map(|payout| (payout.payout_id.clone(), payout.amount_minor, payout.value_date));
    });
    rows.remove(state::due_key(cut_off_at, &cut_off(merchant_id, *currency, *sales_day)));
    if let Some(due_at) = closed.reserve_release_at {
        let due = reserve(&closed.batch_id, merchant_id, *currency, closed.reserve_minor, due_at);
        rows.put(state::due_key(due_at, &due), SettleRow::Due(due));
    }
    change_cursor(rows, merchant_id, *currency, |cursor| {
        assert_eq!(cursor.open_day, Some(*sales_day), "only the open batch is closed");
        cursor.open_day = None;
        cursor.last_closed_day = Some(*sales_day);
        cursor.carried = closed.carried_out_minor;
        let reserved = cursor.reserved.plus(closed.reserve_minor);
        cursor.reserved = reserved.expect("reserves were part of sums in range");
    });
}

fn reserve(
    batch_id: &BatchId,
    merchant_id: &MerchantId,
    currency: Currency,
    amount: Minor,
    due_at: Timestamp,
) -> DueRow {
    DueRow::ReserveRelease {
        batch_id: batch_id.clone(),
        merchant_id: merchant_id.clone(),
        currency,
        amount,
        due_at,
    }
}

fn release_reserve(rows: &mut Rows<SettleRow>, released: &ReserveReleased) {
    let ReserveReleased { from_batch_id, merchant_id, currency, amount_minor, due_at, .. } = released;
    let due = reserve(from_batch_id, merchant_id, *currency, *amount_minor, *due_at);
    rows.remove(state::due_key(*due_at, &due));
    let open_day = change_cursor(rows, merchant_id, *currency, |cursor| {
        cursor.reserved = cursor.reserved.minus(*amount_minor).expect("a reserve is released once");
        cursor.open_day.expect("a released reserve goes into an open batch")
    });
    change_batch(rows, merchant_id, *currency, open_day, |row| {
        let sum = row.totals.reserve_released_minor.plus(*amount_minor);
        row.totals.reserve_released_minor = sum.expect("reserves were part of sums in range");
    });
}

/// Changes where a merchant stands; one that was never seen stands at the beginning.
fn change_cursor<T>(
    rows: &mut Rows<SettleRow>,
    merchant: &MerchantId,
    currency: Currency,
    change: impl FnOnce(&mut CursorRow) -> T,
) -> T {
    rows.change(&state::cursor_key(merchant, currency), |row| {
        let mut cursor = state::cursor(row.as_ref()).copied().unwrap_or_default();
        let changed = change(&mut cursor);
        *row = Some(SettleRow::Cursor(cursor));
        changed
    })
}

/// Changes a batch that has a row; returns its cut-off.
fn change_batch(
    rows: &mut Rows<SettleRow>,
    merchant: &MerchantId,
    currency: Currency,
    sales_day: Day,
    change: impl FnOnce(&mut BatchRow),
) -> Timestamp {
    rows.change(&state::batch_key(merchant, currency, sales_day), |row| {
        let batch = state::batch_mut(row).expect("a batch that changes has a row");
        change(batch);
        batch.cut_off_at
    })
}

/// Posts a transaction to the balances, and returns the chain after it.
///
/// Panics if the transaction does not continue the chain (I9): the journal would be damaged.
fn post(rows: &mut Rows<SettleRow>, chain: &Chain, transaction: &LedgerTransaction) -> Chain {
    assert_eq!(transaction.sequence, chain.next_sequence, "I9: the ledger's sequence has no gap");
    assert_eq!(transaction.prev_hash, chain.head, "I9: each transaction names the hash of the one before");
    for entry in &transaction.entries {
        rows.change(&state::balance_key(&entry.account, entry.currency), |row| {
            let mut balance = state::balance(row.as_ref()).copied().unwrap_or_default();
            balance.debit_balance += signed(entry);
            *row = Some(SettleRow::Balance(balance));
        });
    }
    Chain::after(transaction)
}
