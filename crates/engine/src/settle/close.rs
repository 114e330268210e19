//! What falls due: a batch reaches its cut-off, a reserve falls free.

use settle_ledger::chain::Draft;
use settle_ledger::posting::{Amounts, Posting, PostingInput};
use settle_settlement::batch::{self, Close};
use settle_types::settle::{BatchClosed, BatchStatus, CloseCause, Payout, ReserveReleased, SettlementEvent};
use settle_types::{Currency, Day, MerchantId, Minor, PayoutId};

use super::book::batch_for;
use super::context::Context;
use super::state::{self, BatchRow, DueRow};
use crate::stage::DueCause;
use crate::state_key::StateKey;

pub(super) fn decide_due(
    context: &Context<'_>,
    key: &StateKey,
    due: &DueRow,
    cause: DueCause,
    event: SettlementEvent,
) -> SettlementEvent {
    match due {
        DueRow::CutOff { merchant_id, currency, sales_day } => {
            let cause = match cause {
                DueCause::Clock => CloseCause::CutOff,
                DueCause::Finish => CloseCause::Finish,
            };
            close_batch(context, merchant_id, *currency, *sales_day, cause, event)
        }
        DueRow::ReserveRelease { .. } => {
            assert!(key.due_at() <= Some(context.now), "a reserve is not released before its time");
            release_reserve(context, due, event)
        }
    }
}

fn close_batch(
    context: &Context<'_>,
    merchant: &MerchantId,
    currency: Currency,
    sales_day: Day,
    cause: CloseCause,
    event: SettlementEvent,
) -> SettlementEvent {
    let row = state::batch(context.rows.get(&state::batch_key(merchant, currency, sales_day)));
    let row = row.expect("a batch that waits for its cut-off has a row");
    assert_eq!(row.status, BatchStatus::Open, "a batch is closed once");
    let contract = context.config.contract(merchant);
    let effective_at = row.cut_off_at.min(context.now);
    let close = match contract {
        Some(contract) => contract.close(&row.totals, currency),
        // The contract was removed while the batch was open: nothing says how to pay, so that nothing is lost
        // it waits as carried for a contract.
        None => batch::net(&row.totals).map(|net| Close {
            reserve: Minor::ZERO,
            payout: Minor::ZERO,
            carried_out: net,
        }),
    };
    let close = close.expect("the sums of a batch were checked when they were booked");
    let reserve_release_at = contract
        .filter(|_| close.reserve.is_positive())
        .and_then(|contract| contract.reserve_release_at(effective_at));
    let payout = contract.filter(|_| close.payout.is_positive()).map(|contract| Payout {
        payout_id: PayoutId::new(format!("payout:{}", row.batch_id)),
        batch_id: row.batch_id.clone(),
        merchant_id: merchant.clone(),
        amount_minor: close.payout,
        currency,
        value_date: contract.value_date(sales_day),
        created_at: context.now,
    });
    let status = if payout.is_some() { BatchStatus::AwaitingSettlement } else { BatchStatus::Carried };
    let ledger = context.seal(draft_of_close(context, merchant, currency, row, &close));
    let closed = BatchClosed {
        batch_id: row.batch_id.clone(),
        merchant_id: merchant.clone(),
        currency,
        sales_day,
        cause,
        status,
        totals: row.totals,
        reserve_minor: close.reserve,
        reserve_release_at,
        carried_out_minor: close.carried_out,
        payout,
    };
    SettlementEvent { batch_closed: Some(closed), ledger, ..event }
}

fn draft_of_close(
    context: &Context<'_>,
    merchant: &MerchantId,
    currency: Currency,
    row: &BatchRow,
    close: &Close,
) -> Draft {
    let input = PostingInput {
        merchant_id: merchant,
        payment_method: None,
        currency,
        amounts: Amounts::of_close(close.reserve, close.payout),
    };
    Draft {
        posting: Posting::BatchClose,
        effective_at: row.cut_off_at.min(context.now),
        recorded_at: context.now,
        batch_id: row.batch_id.clone(),
        decision_id: None,
        entries: Posting::BatchClose.entries(&input).expect("reserve and payout are never below zero"),
    }
}

fn release_reserve(context: &Context<'_>, due: &DueRow, event: SettlementEvent) -> SettlementEvent {
    let DueRow::ReserveRelease { batch_id, merchant_id, currency, amount, due_at } = due else {
        unreachable!("decide_due passes reserve releases only")
    };
    let contract = context.config.contract_or_plain(merchant_id);
    let place = batch_for(context, contract, merchant_id, *currency, *due_at);
    let input = PostingInput {
        merchant_id,
        payment_method: None,
        currency: *currency,
        amounts: Amounts::of_amount(*amount),
    };
    let draft = Draft {
        posting: Posting::ReserveRelease,
        effective_at: *due_at,
        recorded_at: context.now,
        batch_id: place.batch_id.clone(),
        decision_id: None,
        entries: Posting::ReserveRelease.entries(&input).expect("a reserve is above zero"),
    };
    let released = ReserveReleased {
        from_batch_id: batch_id.clone(),
        into_batch_id: place.batch_id,
        merchant_id: merchant_id.clone(),
        currency: *currency,
        amount_minor: *amount,
        due_at: *due_at,
    };
    SettlementEvent {
        reserve_released: Some(released),
        batch_opened: place.opened,
        ledger: context.seal(draft),
        ..event
    }
}
