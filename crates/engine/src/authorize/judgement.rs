//! What every judgement of AUTHORIZE looks at, and what it says.

use settle_risk::Today;
use settle_types::Timestamp;
use settle_types::authorize::{Outcome, Reason, RiskAssessment, Transition};

use super::config::AuthorizeConfig;
use super::state::{self, AuthorizeRow, PaymentRow};
use crate::rows::Rows;
use crate::state_key::StateKey;

/// What a decision looks at.
pub(super) struct Context<'a> {
    pub(super) rows: &'a Rows<AuthorizeRow>,
    pub(super) config: &'a AuthorizeConfig,
    pub(super) now: Timestamp,
}

impl Context<'_> {
    /// A payment that is still remembered.
    pub(super) fn payment(&self, key: &StateKey) -> Option<&PaymentRow> {
        state::payment(self.rows.get(key)).filter(|row| row.expires_at > self.now)
    }

    /// Follow-ups skip the debtor's limits, so that nothing was read for them.
    pub(super) fn today_of_follow_up(&self) -> Today {
        Today { sum_minor: 0, count: 0 }
    }

    /// What the debtor has paid today, before this payment: `day_row` is the key of the row.
    pub(super) fn today(&self, day_row: &StateKey) -> Today {
        state::velocity(self.rows.get(day_row))
            .map_or(Today { sum_minor: 0, count: 0 }, |row| Today { sum_minor: row.sum, count: row.count })
    }
}

/// What a judgement says; the rest of the decision is the same for all.
pub(super) struct Judgement {
    pub(super) outcome: Outcome,
    pub(super) reasons: Vec<Reason>,
    pub(super) risk: Option<RiskAssessment>,
    pub(super) forwarded: bool,
    /// What the decision changes beside its own payment.
    pub(super) transitions: Vec<Transition>,
}

impl Judgement {
    pub(super) fn declined(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Declined,
            reasons: vec![reason],
            risk: None,
            forwarded: false,
            transitions: Vec::new(),
        }
    }

    pub(super) fn approved(risk: Option<RiskAssessment>) -> Self {
        let outcome = Outcome::Approved;
        Self { outcome, reasons: Vec::new(), risk, forwarded: true, transitions: Vec::new() }
    }
}
