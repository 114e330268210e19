//! Maps events of AUTHORIZE to records of the other topics. Pure, and without judgement.

use settle_types::authorize::{DecisionEvent, Outcome, Payment, PaymentApproved};
use settle_types::{DecisionId, Timestamp, topic};

use crate::input::Input;
use crate::output::{Masking, Output, Payload, Placement, dead_letter, rerouted};

/// `payments.approved` for what goes on, `payments.rerouted` for what is to be decided in another partition,
/// `payments.dead-letter` for what was not taken.
pub(super) fn project(event: &DecisionEvent, input: Option<&Input<'_>>) -> Vec<Output> {
    let mut outputs = Vec::new();
    if let Some(decision) = &event.decision {
        if let Some(payment) = decision.payment.as_ref().filter(|_| decision.forwarded) {
            outputs.push(approved(payment, &decision.decision_id, event.now));
        }
        if let (Outcome::Rerouted, Some(input), Some(payment)) = (decision.outcome, input, &decision.payment)
        {
            outputs.push(rerouted(input, &payment.debtor_account));
        }
        let is_dead = matches!(decision.outcome, Outcome::Invalid | Outcome::Conflict);
        if let (true, Some(input), Some(reason)) = (is_dead, input, decision.reasons.first()) {
            let masking = match decision.payment {
                Some(_) => Masking::AsItIs,
                None => Masking::CardNumbers,
            };
            outputs.push(dead_letter(input, &reason.code, &reason.detail, masking));
        }
    }
    if let Some(transition) = event.transition.as_ref().filter(|transition| transition.forwarded) {
        outputs.push(approved(&transition.payment, &transition.decision_id, event.now));
    }
    outputs
}

/// The debtor's account; for a request that could not be read, the key of its record.
pub(super) fn journal_key(event: &DecisionEvent, input: Option<&Input<'_>>) -> Option<Vec<u8>> {
    let decided = event.decision.as_ref().and_then(|decision| decision.payment.as_ref());
    let payment = decided.or_else(|| event.transition.as_ref().map(|transition| &transition.payment));
    match payment {
        Some(payment) => Some(payment.debtor_account.as_str().as_bytes().to_vec()),
        None => {
            let key = input?.key?;
            Some(settle_risk::card_number::mask_bytes(key).unwrap_or_else(|| key.to_vec()))
        }
    }
}

fn approved(payment: &Payment, decision_id: &DecisionId, decided_at: Timestamp) -> Output {
    Output {
        topic: topic::APPROVED,
        placement: Placement::ByKey,
        key: Some(payment.merchant_id.as_str().as_bytes().to_vec()),
        payload: Payload::Approved(PaymentApproved {
            event_type: payment.event_type,
            payment_id: payment.payment_id.clone(),
            original_payment_id: payment.original_payment_id.clone(),
            debtor_account: payment.debtor_account.clone(),
            merchant_id: payment.merchant_id.clone(),
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            payment_method: payment.payment_method.clone(),
            requested_at: payment.requested_at,
            decision_id: decision_id.clone(),
            decided_at,
        }),
    }
}
