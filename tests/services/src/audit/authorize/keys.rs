//! I8 in AUTHORIZE: what was used before gets the first answer, and nothing is taken twice.
//!
//! The content of two requests is compared field by field, and not by the fingerprint that AUTHORIZE wrote.

use std::collections::HashMap;

use super::super::finding::{Findings, Invariant, Place};
use super::super::input::Inputs;
use super::super::records::{Decision, Outcome, Payment, PaymentRequested, SourcePosition};
use super::Known;

/// How long a payment id is remembered: 550 days.
const PAYMENT_MEMORY_MICROS: i64 = 550 * 24 * 3600 * 1_000_000;

/// Merchant, debtor and idempotency key.
type Scope = (String, String, String);
/// Merchant, debtor and payment id.
type Id = (String, String, String);

/// The decision that used a key.
struct Used {
    decision_id: String,
    outcome: Outcome,
    request: SourcePosition,
    now: i64,
    expires_at: i64,
    partition: i32,
}

/// Who used what, so far.
#[derive(Default)]
pub(super) struct Keys {
    scopes: HashMap<Scope, Used>,
    ids: HashMap<Id, String>,
}

impl Keys {
    /// The next decision of a partition on a request that could be read.
    #[expect(clippy::too_many_arguments, reason = "what a decision refers to lies in as many places")]
    pub(super) fn decided(
        &mut self,
        place: Place<'_>,
        now: i64,
        input: &SourcePosition,
        decision: &Decision,
        requests: &Inputs<PaymentRequested>,
        decisions: &HashMap<String, Known>,
        findings: &mut Findings,
    ) {
        let Some(payment) = &decision.payment else { return };
        let scope =
            (payment.merchant_id.clone(), payment.debtor_account.clone(), payment.idempotency_key.clone());
        let id = (payment.merchant_id.clone(), payment.debtor_account.clone(), payment.payment_id.clone());
        let used = self.scopes.get(&scope).filter(|used| used.holds(place.partition, now));
        let used_id =
            self.ids.get(&id).and_then(|decision_id| Some((decision_id, decisions.get(decision_id)?)));
        let used_id = used_id.filter(|(_, known)| {
            known.status != Outcome::Declined && known.now.saturating_add(PAYMENT_MEMORY_MICROS) > now
        });
        match decision.outcome {
            Outcome::Replayed | Outcome::Conflict => {
                let first = match (used, used_id) {
                    (Some(used), _) => {
                        let is_same = same_content(requests, input, &used.request);
                        let is_retry = decision.outcome == Outcome::Replayed;
                        if is_same.is_some_and(|is_same| is_same != is_retry) {
                            let what = if is_retry { "other content than" } else { "the same content as" };
                            let detail = format!("{:?} with {what} {}", decision.outcome, used.decision_id);
                            findings.add(Invariant::I8, place, detail);
                        }
                        Some((used.decision_id.clone(), used.outcome))
                    }
                    (None, Some((decision_id, known))) if decision.outcome == Outcome::Conflict => {
                        Some((decision_id.clone(), known.status))
                    }
                    _ => None,
                };
                let found = decision.first.as_ref().map(|first| (first.decision_id.clone(), first.outcome));
                findings.equal(Invariant::I8, place, "first decision", &found, &first);
            }
            Outcome::Approved | Outcome::Declined | Outcome::Review | Outcome::Scheduled => {
                if let Some(used) = used {
                    let detail = format!("{:?} although {} used the key", decision.outcome, used.decision_id);
                    findings.add(Invariant::I8, place, detail);
                }
                if let Some((decision_id, _)) = used_id {
                    let detail = format!("{:?} although {decision_id} used the payment id", decision.outcome);
                    findings.add(Invariant::I8, place, detail);
                }
                self.use_up(place, now, input, decision, payment);
            }
            // No key is used, and none is looked at before the request is found to be well formed.
            _ => {}
        }
    }

    fn use_up(
        &mut self,
        place: Place<'_>,
        now: i64,
        input: &SourcePosition,
        decision: &Decision,
        payment: &Payment,
    ) {
        let (merchant, debtor) = (payment.merchant_id.clone(), payment.debtor_account.clone());
        self.ids.insert(
            (merchant.clone(), debtor.clone(), payment.payment_id.clone()),
            decision.decision_id.clone(),
        );
        let used = Used {
            decision_id: decision.decision_id.clone(),
            outcome: decision.outcome,
            request: input.clone(),
            now,
            expires_at: decision.key_expires_at.unwrap_or(now),
            partition: place.partition,
        };
        self.scopes.insert((merchant, debtor, payment.idempotency_key.clone()), used);
    }
}

impl Used {
    /// True if the key is not free for a decision of this partition. Clocks of two partitions differ, so that what
    /// another partition decided counts whether it was before or after, within the time of a key.
    fn holds(&self, partition: i32, now: i64) -> bool {
        if partition == self.partition {
            return self.expires_at > now;
        }
        (now - self.now).abs() < self.expires_at - self.now
    }
}

/// Whether two requests ask for the same (docs: fingerprint): times of attempts and metadata do not count.
fn same_content(
    requests: &Inputs<PaymentRequested>,
    left: &SourcePosition,
    right: &SourcePosition,
) -> Option<bool> {
    let content = |position| {
        let request = requests.find(position)?.value.as_ref()?;
        Some((
            request.event_type,
            request.original_payment_id.as_deref(),
            request.amount_minor,
            request.currency.as_str(),
            request.payment_method.as_str(),
            request.card.as_ref().map(|card| card.token.as_str()),
            request.execute_at,
        ))
    };
    Some(content(left)? == content(right)?)
}
