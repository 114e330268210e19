//! A realistic, seeded day of payment traffic: for the demo, for trying rules, for benchmarks and tests.
//!
//! The same options give the same records on every machine: integers only, one ChaCha stream. Owns what the
//! traffic looks like; must not know how it is judged, though the constants below are what the example rules
//! are made for.

mod catalogue;
mod follow_up;
mod malformed;
mod traffic;

use settle_types::Timestamp;
use settle_types::request::PaymentRequested;

pub use traffic::{Traffic, TrafficOptions};

/// A debtor on the deny list of the example rules.
pub const DENIED_DEBTOR: &str = "acct-denied";
/// A country on the deny list of the example rules.
pub const DENIED_COUNTRY: &str = "KP";
/// Limit per payment of the example rules, in minor units, by currency.
pub const LIMITS_PER_PAYMENT_MINOR: [(&str, i64); 6] = [
    ("EUR", 1_000_000),
    ("CZK", 25_000_000),
    ("USD", 1_000_000),
    ("GBP", 900_000),
    ("JPY", 1_500_000),
    ("BHD", 4_000_000),
];
/// Limit of a debtor's daily sum of the example rules, in minor units, by currency.
pub const LIMITS_DAILY_SUM_MINOR: [(&str, i64); 6] = [
    ("EUR", 2_000_000),
    ("CZK", 50_000_000),
    ("USD", 2_000_000),
    ("GBP", 1_800_000),
    ("JPY", 3_000_000),
    ("BHD", 8_000_000),
];
/// Limit of a debtor's daily count of the example rules, in every currency.
pub const LIMIT_DAILY_COUNT: i64 = 40;

/// A record of `payments.requested`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generated {
    /// A request.
    Request(Box<PaymentRequested>),
    /// Bytes that are no request.
    Malformed {
        /// Key of the record.
        key: Vec<u8>,
        /// Value of the record.
        bytes: Vec<u8>,
        /// Time of the record.
        timestamp: Timestamp,
    },
}
