//! Double entry: chart of accounts, posting table, hash chain, trial balance. Pure.
//!
//! Owns what a business event posts and how a transaction is linked to the one before it. Must not know how
//! amounts are found (`settlement`, `engine`), how records are encoded for a log (`schema`) or where they are
//! kept (`store`, `log`). The normative description, for readers in other languages, is docs/ledger.md.

pub mod account;
pub mod balance;
pub mod chain;
pub mod encoding;
pub mod error;
pub mod posting;

pub use account::Account;
pub use balance::{TrialBalance, signed};
pub use chain::{Chain, Draft, transaction_id};
pub use encoding::ENCODING_VERSION;
pub use error::Error;
pub use posting::{Amounts, POSTING_TABLE_VERSION, Posting, PostingInput};
