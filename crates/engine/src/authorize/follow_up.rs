//! Judges what is about an earlier payment. In this order: the original is known, is of the right kind, has the
//! same currency, stands where the follow-up needs it, and enough of it is left; then the rules.
//!
//! CHARGEBACK and its reversal are facts of the scheme: no rule is asked. A refund skips the debtor's limits.

use settle_risk::{Scope, Severity};
use settle_types::authorize::{Outcome, Payment, Reason, Transition, TransitionCause};
use settle_types::request::EventType;
use settle_types::{Minor, reason};

use super::command::{Valid, subject};
use super::judgement::{Context, Judgement};
use super::state::{self, PaymentRow};

pub(super) fn judge(context: &Context<'_>, valid: &Valid) -> Judgement {
    let payment = &valid.payment;
    let original = match find_original(context, payment) {
        Ok(original) => original,
        Err(reason) => return Judgement::declined(reason),
    };
    if let Err(reason) = fits(payment, original) {
        return Judgement::declined(reason);
    }
    match payment.event_type {
        EventType::Refund => judge_refund(context, valid),
        EventType::Cancellation => judge_cancellation(original),
        EventType::Chargeback | EventType::ChargebackReversal => Judgement::approved(None),
        EventType::Payment | EventType::Unknown => {
            unreachable!("validation refuses an unknown type, and a PAYMENT is no follow-up")
        }
    }
}

fn find_original<'a>(context: &Context<'a>, payment: &Payment) -> Result<&'a PaymentRow, Reason> {
    let key = state::original_key(payment).expect("validation requires the original id of a follow-up");
    let original = state::payment(context.rows.get(&key)).filter(|row| row.expires_at > context.now);
    original.ok_or_else(|| {
        let detail = "original_payment_id: no payment of this debtor and merchant has this id";
        Reason::new(reason::ORIGINAL_UNKNOWN, detail)
    })
}

fn fits(payment: &Payment, original: &PaymentRow) -> Result<(), Reason> {
    let needed_type = match payment.event_type {
        EventType::ChargebackReversal => EventType::Chargeback,
        _ => EventType::Payment,
    };
    let found_type = original.payment.event_type;
    if found_type != needed_type {
        let detail = format!(
            "original_payment_id: names a {}, a {} was expected",
            found_type.as_str(),
            needed_type.as_str()
        );
        return Err(Reason::new(reason::ORIGINAL_WRONG_TYPE, detail));
    }
    if original.payment.currency != payment.currency {
        let detail = format!(
            "currency: {} was found, the original is in {}",
            payment.currency, original.payment.currency
        );
        return Err(Reason::new(reason::CURRENCY_MISMATCH, detail));
    }
    let is_cancellation = payment.event_type == EventType::Cancellation;
    let can_change = original.status == Outcome::Approved
        || is_cancellation && matches!(original.status, Outcome::Scheduled | Outcome::Review);
    if !can_change {
        let detail = format!("original_payment_id: the original is {}", original.status.as_str());
        return Err(Reason::new(reason::ORIGINAL_NOT_APPROVED, detail));
    }
    if is_cancellation { fits_cancellation(payment, original) } else { fits_remainder(payment, original) }
}

fn fits_cancellation(payment: &Payment, original: &PaymentRow) -> Result<(), Reason> {
    if !original.refunded.is_zero() || !original.disputed.is_zero() {
        let detail = "original_payment_id: the original has refunds or disputes; refund the rest instead";
        return Err(Reason::new(reason::ORIGINAL_HAS_FOLLOW_UPS, detail));
    }
    if payment.amount_minor != original.payment.amount_minor {
        let detail = format!(
            "amount_minor: {} was found, a cancellation is of the whole amount {}",
            payment.amount_minor.get(),
            original.payment.amount_minor.get()
        );
        return Err(Reason::new(reason::AMOUNT_MISMATCH, detail));
    }
    Ok(())
}

/// What may still be taken: of a refund, neither refunded nor disputed; of a chargeback, not disputed (the
/// scheme takes it whether refunded or not); of a reversal, not reversed.
fn fits_remainder(payment: &Payment, original: &PaymentRow) -> Result<(), Reason> {
    let taken = match payment.event_type {
        EventType::Refund => original.refunded.wide() + original.disputed.wide(),
        _ => original.disputed.wide(),
    };
    // A chargeback may take what was refunded already: then nothing is left, not less.
    let left = (original.payment.amount_minor.wide() - taken).max(0);
    if payment.amount_minor.wide() > left {
        let detail = format!(
            "amount_minor: {} was found, {left} of the original are left",
            payment.amount_minor.get()
        );
        return Err(Reason::new(reason::AMOUNT_ABOVE_REMAINDER, detail));
    }
    Ok(())
}

fn judge_refund(context: &Context<'_>, valid: &Valid) -> Judgement {
    let subject = subject(&valid.payment, &valid.attributes);
    let verdict = context.config.rules().evaluate(Scope::FollowUp, &subject, context.today_of_follow_up());
    let outcome = match verdict.severity {
        Severity::Approve => Outcome::Approved,
        Severity::Review => Outcome::Review,
        Severity::Decline => Outcome::Declined,
    };
    Judgement {
        outcome,
        reasons: verdict.reasons,
        risk: Some(verdict.assessment),
        forwarded: outcome == Outcome::Approved,
        transitions: Vec::new(),
    }
}

/// Final here while the payment waits; after its approval SETTLE decides, until the batch closes.
fn judge_cancellation(original: &PaymentRow) -> Judgement {
    let change = Transition {
        decision_id: original.decision_id.clone(),
        from: original.status,
        to: Outcome::Cancelled,
        cause: TransitionCause::Cancellation,
        payment: original.payment.clone(),
        reasons: Vec::new(),
        risk: None,
        forwarded: false,
    };
    Judgement {
        forwarded: original.status == Outcome::Approved,
        transitions: vec![change],
        ..Judgement::approved(None)
    }
}

/// Adds or takes back what a follow-up takes from its original.
pub(super) fn taken(sum: Minor, amount: Minor, undo: bool) -> Minor {
    let changed = if undo { sum.minus(amount) } else { sum.plus(amount) };
    let changed = changed.expect("a follow-up never exceeds its original, which fits");
    assert!(!changed.is_negative(), "what was taken from an original is never below zero");
    changed
}
