//! Identifiers, money, currencies, time and the records that Settle reads and writes.
//!
//! Owns the vocabulary that every other crate speaks. Must not know how records are encoded (`schema`), how
//! they are decided (`engine`) or where they are kept (`store`, `log`): plain values, no I/O, no clock.

pub mod authorize;
pub mod currency;
pub mod event;
pub mod hash;
pub mod id;
pub mod money;
pub mod reason;
pub mod request;
pub mod settle;
pub mod time;
pub mod topic;

pub use currency::{Currency, CurrencyTable};
pub use hash::Digest;
pub use id::{BatchId, DebtorAccount, DecisionId, IdempotencyKey, MerchantId, PaymentId, PayoutId};
pub use money::{BasisPoints, Minor};
pub use time::{Day, Duration, Timestamp};
