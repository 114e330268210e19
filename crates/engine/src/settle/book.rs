//! Books an approved record, or says why not. The checks stand in the order in which they count:
//!
//! 1. kind, 2. payment id, 3. contract, 4. original, 5. fee, 6. net debit cap, 7. batch, 8. range of sums.

use settle_ledger::chain::Draft;
use settle_ledger::posting::{Amounts, Posting, PostingInput};
use settle_settlement::{CompiledContract, FeeError};
use settle_types::authorize::{PaymentApproved, Reason};
use settle_types::request::EventType;
use settle_types::settle::{BatchOpened, BatchStatus, BatchTotals, Booking, LedgerTransaction};
use settle_types::{BatchId, Currency, Day, MerchantId, Minor, PaymentId, Timestamp, reason};

use super::context::Context;
use super::state::{self, BookedRow};

/// What booking a record says.
pub(super) struct Booked {
    pub(super) booking: Booking,
    pub(super) opened: Option<BatchOpened>,
    pub(super) ledger: Option<LedgerTransaction>,
}

pub(super) fn book(context: &Context<'_>, approved: &PaymentApproved) -> Result<Booked, Reason> {
    let posting = posting(approved.event_type)?;
    if let Some(used) = remembered(context, &approved.payment_id, &approved.merchant_id) {
        let detail = format!("payment_id: booked for this merchant by {}", used.approved.decision_id);
        return Err(Reason::new(reason::PAYMENT_ID_REUSED, detail));
    }
    let contract = context.config.contract(&approved.merchant_id).ok_or_else(|| {
        let detail = "merchant_id: has no contract; add [contracts.default], or one of its own";
        Reason::new(reason::NO_CONTRACT, detail)
    })?;
    if contract.is_blocked() && approved.event_type == EventType::Payment {
        return Err(Reason::new(reason::MERCHANT_BLOCKED, "merchant_id: the contract's status is BLOCKED"));
    }
    let original = original(context, approved)?;
    let fee = fee(contract, approved, original)?;
    if approved.event_type == EventType::Refund {
        check_net_debit_cap(context, contract, approved, fee)?;
    }
    let place = match (approved.event_type, original) {
        (EventType::Cancellation, Some(original)) => batch_of_original(context, original)?,
        _ => batch_for(context, contract, &approved.merchant_id, approved.currency, approved.decided_at),
    };
    check_sums(context, approved, &place, fee)?;
    let method = original.map_or(&approved.payment_method, |original| &original.approved.payment_method);
    let entries = posting.entries(&PostingInput {
        merchant_id: &approved.merchant_id,
        payment_method: Some(method),
        currency: approved.currency,
        amounts: Amounts::with_fee(approved.amount_minor, magnitude(fee)),
    });
    let draft = Draft {
        posting,
        effective_at: approved.decided_at,
        recorded_at: context.now,
        batch_id: place.batch_id.clone(),
        decision_id: Some(approved.decision_id.clone()),
        entries: entries.expect("the amounts of a validated record are above zero"),
    };
    let booking = Booking {
        batch_id: place.batch_id,
        sales_day: place.sales_day,
        late_for: place.late_for,
        fee_minor: fee,
    };
    Ok(Booked { booking, opened: place.opened, ledger: context.seal(draft) })
}

fn posting(event_type: EventType) -> Result<Posting, Reason> {
    match event_type {
        EventType::Payment => Ok(Posting::Sale),
        EventType::Refund => Ok(Posting::Refund),
        EventType::Chargeback => Ok(Posting::Chargeback),
        EventType::ChargebackReversal => Ok(Posting::ChargebackReversal),
        EventType::Cancellation => Ok(Posting::Cancellation),
        EventType::Unknown => {
            let detail = "event_type: not known to this version; upgrade the workers of SETTLE";
            Err(Reason::new(reason::EVENT_TYPE_UNKNOWN, detail))
        }
    }
}

fn remembered<'a>(context: &Context<'a>, id: &PaymentId, merchant: &MerchantId) -> Option<&'a BookedRow> {
    state::booked(context.rows.get(&state::booked_key(merchant, id)))
        .filter(|row| row.expires_at > context.now)
}

/// What a follow-up is about: booked with this merchant for this debtor, and not cancelled.
fn original<'a>(context: &Context<'a>, approved: &PaymentApproved) -> Result<Option<&'a BookedRow>, Reason> {
    if approved.event_type == EventType::Payment {
        return Ok(None);
    }
    let id = approved.original_payment_id.as_ref().filter(|id| !id.is_empty());
    let found = id.and_then(|id| remembered(context, id, &approved.merchant_id));
    let booked =
        found.filter(|row| row.approved.debtor_account == approved.debtor_account && !row.is_cancelled);
    if booked.is_none() {
        let detail = "original_payment_id: not booked with this merchant for this debtor, or cancelled";
        return Err(Reason::new(reason::ORIGINAL_NOT_BOOKED, detail));
    }
    Ok(booked)
}

/// Fee of this record: charged for a sale, given back with a cancellation and, if the contract says so, in
/// proportion with a refund.
fn fee(
    contract: &CompiledContract,
    approved: &PaymentApproved,
    original: Option<&BookedRow>,
) -> Result<Minor, Reason> {
    let fee = match (approved.event_type, original) {
        (EventType::Payment, _) => {
            contract.fee(&approved.payment_method, approved.currency, approved.amount_minor)
        }
        (EventType::Cancellation, Some(original)) => original.fee.negated().map_err(|_| FeeError::Overflow),
        (EventType::Refund, Some(original)) => contract
            .fee_returned(
                original.approved.amount_minor,
                original.fee,
                original.refunded,
                approved.amount_minor,
            )
            .and_then(|returned| returned.negated().map_err(|_| FeeError::Overflow)),
        _ => Ok(Minor::ZERO),
    };
    fee.map_err(|error| match error {
        FeeError::NoFeeForMethod => Reason::new(reason::NO_FEE_FOR_METHOD, error.to_string()),
        FeeError::Overflow => overflow(),
    })
}

fn overflow() -> Reason {
    Reason::new(reason::AMOUNT_OVERFLOW, "a sum of the batch would leave the range of 64-bit minor units")
}

fn magnitude(amount: Minor) -> Minor {
    if amount.is_negative() { amount.negated().expect("a fee is never i64::MIN") } else { amount }
}

/// A refund may take the merchant's debt to the cap, not above it.
fn check_net_debit_cap(
    context: &Context<'_>,
    contract: &CompiledContract,
    approved: &PaymentApproved,
    fee: Minor,
) -> Result<(), Reason> {
    let Some(cap) = contract.net_debit_cap(approved.currency) else { return Ok(()) };
    let key = state::payable_key(&approved.merchant_id, approved.currency);
    let debit_balance = state::balance(context.rows.get(&key)).map_or(0, |row| row.debit_balance);
    let debt = debit_balance + approved.amount_minor.wide() + fee.wide();
    if debt > cap.wide() {
        let detail =
            format!("amount_minor: the merchant would owe {debt}, at most {} are allowed", cap.get());
        return Err(Reason::new(reason::NET_DEBIT_CAP, detail));
    }
    Ok(())
}

/// The batch that something goes into.
pub(super) struct Place {
    pub(super) batch_id: BatchId,
    pub(super) sales_day: Day,
    pub(super) late_for: Option<BatchId>,
    pub(super) opened: Option<BatchOpened>,
}

/// A cancellation undoes its payment within the same batch, as long as that is open.
fn batch_of_original(context: &Context<'_>, original: &BookedRow) -> Result<Place, Reason> {
    let approved = &original.approved;
    let key = state::batch_key(&approved.merchant_id, approved.currency, original.sales_day);
    let batch = state::batch(context.rows.get(&key)).expect("a booked payment has its batch");
    if batch.status != BatchStatus::Open {
        let detail =
            format!("batch {} is {}; refund the payment instead", batch.batch_id, batch.status.as_str());
        return Err(Reason::new(reason::BATCH_CLOSED, detail));
    }
    let batch_id = batch.batch_id.clone();
    Ok(Place { batch_id, sales_day: original.sales_day, late_for: None, opened: None })
}

/// The open batch; without one, that of the sales day, or of the next that can still be open.
pub(super) fn batch_for(
    context: &Context<'_>,
    contract: &CompiledContract,
    merchant: &MerchantId,
    currency: Currency,
    at: Timestamp,
) -> Place {
    let cursor = context.cursor(merchant, currency);
    let own_day = contract.sales_day(at);
    let (sales_day, is_open) = match cursor.open_day {
        Some(open_day) => (open_day, true),
        None => {
            let after_closed = cursor.last_closed_day.map_or(own_day, Day::next);
            (own_day.max(after_closed).max(contract.sales_day(context.now)), false)
        }
    };
    let batch_id = match is_open {
        true => context.open_batch(merchant, currency, sales_day).batch_id.clone(),
        false => state::batch_id(merchant, currency, sales_day),
    };
    let late_for = (own_day < sales_day).then(|| state::batch_id(merchant, currency, own_day));
    let opened = (!is_open).then(|| BatchOpened {
        batch_id: batch_id.clone(),
        merchant_id: merchant.clone(),
        currency,
        sales_day,
        cut_off_at: contract.cut_off_at(sales_day),
        carried_in_minor: cursor.carried,
    });
    Place { batch_id, sales_day, late_for, opened }
}

/// The batch's sums must stay in range, so that it can always be closed. They count reserves that may still be
/// released into it: a release cannot be refused.
fn check_sums(
    context: &Context<'_>,
    approved: &PaymentApproved,
    place: &Place,
    fee: Minor,
) -> Result<(), Reason> {
    let mut totals = match &place.opened {
        Some(opened) => BatchTotals { carried_in_minor: opened.carried_in_minor, ..BatchTotals::default() },
        None => context.open_batch(&approved.merchant_id, approved.currency, place.sales_day).totals,
    };
    add_to_totals(&mut totals, approved.event_type, approved.amount_minor, fee).map_err(|_| overflow())?;
    let gross =
        totals.sales_minor.wide() + totals.reversals_minor.wide() + totals.reserve_released_minor.wide();
    let taken =
        totals.refunds_minor.wide() + totals.chargebacks_minor.wide() + totals.fees_minor.wide().abs();
    let reserved = context.cursor(&approved.merchant_id, approved.currency).reserved;
    let widest = gross + taken + totals.carried_in_minor.wide().abs() + reserved.wide();
    if widest > i128::from(i64::MAX) { Err(overflow()) } else { Ok(()) }
}

/// Adds a booked record to the sums of its batch.
pub(super) fn add_to_totals(
    totals: &mut BatchTotals,
    event_type: EventType,
    amount: Minor,
    fee: Minor,
) -> Result<(), settle_types::money::Overflow> {
    totals.fees_minor = totals.fees_minor.plus(fee)?;
    match event_type {
        EventType::Payment => {
            totals.sales_count += 1;
            totals.sales_minor = totals.sales_minor.plus(amount)?;
        }
        EventType::Cancellation => {
            totals.sales_count -= 1;
            totals.sales_minor = totals.sales_minor.minus(amount)?;
        }
        EventType::Refund => {
            totals.refunds_count += 1;
            totals.refunds_minor = totals.refunds_minor.plus(amount)?;
        }
        EventType::Chargeback => {
            totals.chargebacks_count += 1;
            totals.chargebacks_minor = totals.chargebacks_minor.plus(amount)?;
        }
        EventType::ChargebackReversal => {
            totals.reversals_count += 1;
            totals.reversals_minor = totals.reversals_minor.plus(amount)?;
        }
        EventType::Unknown => unreachable!("an unknown kind is refused before it is booked"),
    }
    Ok(())
}
