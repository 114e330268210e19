//! Maps events of SETTLE to records of the other topics. Pure, and without judgement.

use settle_types::MerchantId;
use settle_types::authorize::{Outcome, PaymentResult};
use settle_types::settle::{SettlementEvent, SettlementOutcome};
use settle_types::topic;

use crate::input::Input;
use crate::output::{Masking, Output, Payload, Placement, dead_letter};

/// `ledger.transactions`, `settlement.payouts`; of a refusal, `payments.results` and `payments.dead-letter`.
pub(super) fn project(event: &SettlementEvent, input: Option<&Input<'_>>) -> Vec<Output> {
    let mut outputs = Vec::new();
    let merchant = merchant(event);
    let same_partition = |topic, payload| Output {
        topic,
        placement: Placement::SameAsInput,
        key: merchant.map(|merchant| merchant.as_str().as_bytes().to_vec()),
        payload,
    };
    if let Some(transaction) = &event.ledger {
        outputs.push(same_partition(topic::LEDGER_TRANSACTIONS, Payload::Ledger(transaction.clone())));
    }
    if let Some(payout) = event.batch_closed.as_ref().and_then(|closed| closed.payout.as_ref()) {
        outputs.push(same_partition(topic::PAYOUTS, Payload::Payout(payout.clone())));
    }
    let Some(decision) = &event.decision else { return outputs };
    if decision.outcome == SettlementOutcome::Booked {
        return outputs;
    }
    if let Some(approved) = &decision.approved {
        outputs.push(Output {
            topic: topic::RESULTS,
            placement: Placement::ByKey,
            key: Some(approved.debtor_account.as_str().as_bytes().to_vec()),
            payload: Payload::Result(PaymentResult {
                approved: approved.clone(),
                outcome: Outcome::Refused,
                reasons: decision.reasons.clone(),
                refused_at: event.now,
            }),
        });
    }
    if let (Some(input), Some(reason)) = (input, decision.reasons.first()) {
        let masking = match decision.approved {
            Some(_) => Masking::AsItIs,
            None => Masking::CardNumbers,
        };
        outputs.push(dead_letter(input, &reason.code, &reason.detail, masking));
    }
    outputs
}

/// The merchant; for a record that could not be read, its key.
pub(super) fn journal_key(event: &SettlementEvent, input: Option<&Input<'_>>) -> Option<Vec<u8>> {
    match merchant(event) {
        Some(merchant) => Some(merchant.as_str().as_bytes().to_vec()),
        None => input?.key.map(<[u8]>::to_vec),
    }
}

fn merchant(event: &SettlementEvent) -> Option<&MerchantId> {
    let approved = event.decision.as_ref().and_then(|decision| decision.approved.as_ref());
    let booked = approved.map(|approved| &approved.merchant_id);
    let closed = event.batch_closed.as_ref().map(|closed| &closed.merchant_id);
    let released = event.reserve_released.as_ref().map(|released| &released.merchant_id);
    booked.or(closed).or(released)
}
