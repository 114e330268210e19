//! What rules are asked and what they answer: the values between the engine and the evaluation. No judgement.

use settle_types::authorize::{Reason, RiskAssessment};
use settle_types::{Currency, Minor};

/// How strict a verdict is; the highest of all live rules wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing speaks against it.
    #[default]
    Approve,
    /// A person decides.
    Review,
    /// Not taken.
    Decline,
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Takes money from the debtor: all rules.
    Payment,
    /// Gives money back: deny lists only, since the debtor's limits bound what the debtor pays.
    FollowUp,
}

/// The request as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Minor units of `currency`, above zero: a request with another amount is malformed and not asked about.
    pub amount: Minor,
    /// Its currency.
    pub currency: Currency,
    /// How it is paid.
    pub payment_method: &'a str,
    /// Who pays.
    pub debtor_account: &'a str,
    /// Who is paid.
    pub merchant_id: &'a str,
    /// Country of the debtor.
    pub country: Option<&'a str>,
    /// Merchant category code.
    pub mcc: Option<&'a str>,
    /// Address of the payer's device.
    pub ip: Option<&'a str>,
    /// The payer's device.
    pub device_id: Option<&'a str>,
    /// First digits of the card.
    pub card_bin: Option<&'a str>,
}

/// What the debtor has done on this UTC day in the currency of the subject, without the subject itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// Sum in minor units.
    pub sum_minor: i128,
    /// Number of payments.
    pub count: i64,
}

/// What the rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The highest severity of the live rules.
    pub severity: Severity,
    /// Of each live rule that matched or could not be evaluated, in the order of the rules.
    pub reasons: Vec<Reason>,
    /// Score, features and shadow findings, for the decision.
    pub assessment: RiskAssessment,
}
