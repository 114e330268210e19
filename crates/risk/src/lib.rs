//! Risk: what a payment is judged by, and where card numbers are looked for.
//!
//! Owns the shape of rules ([`RiskConfig`]), their check and compilation, their evaluation ([`Rules`]) and the
//! search for card numbers in text ([`card_number`]). Pure: must not know where rules come from, where sums
//! and counts are kept, or what becomes of a verdict (`engine`).

pub mod card_number;
mod check;
mod config;
mod rules;
mod verdict;

pub use config::{CheckKind, DenyField, Mode, Problem, RiskConfig, Rule, RuleSeverity};
pub use rules::Rules;
pub use verdict::{Scope, Severity, Subject, Today, Verdict};
