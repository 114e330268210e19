//! A naive model of the domain: plain maps and plain numbers, everything looked up by search, nothing shared with the
//! engine. It is told what each journal decided about, and when, and says what the journal must say.
//!
//! It knows the settings of `crate::settings` and no others.

pub mod authorize;
pub mod settle;

use settle_types::request::EventType;

/// What AUTHORIZE sent to SETTLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Kind of the request.
    pub kind: EventType,
    /// Its payment id.
    pub id: String,
    /// The payment that it is about.
    pub original: Option<String>,
    /// Who pays.
    pub debtor: String,
    /// Who is paid.
    pub merchant: String,
    /// How much.
    pub amount: i64,
    /// Of which currency.
    pub currency: String,
    /// How.
    pub method: String,
    /// Id of the decision.
    pub decision: String,
    /// When it was decided, in microseconds.
    pub at: i64,
}
