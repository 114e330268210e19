//! What the audit counted, so that a test can assert that something has happened at all.

use std::collections::BTreeMap;
use std::fmt;

use super::records::{Outcome, SettlementOutcome};

/// Counts of what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records of `payments.requested`.
    pub requests: usize,
    /// Those of them that cannot be read.
    pub unreadable_requests: usize,
    /// Decisions of AUTHORIZE.
    pub decisions: BTreeMap<Outcome, usize>,
    /// Later changes of decisions.
    pub transitions: usize,
    /// Decisions that went on to SETTLE.
    pub forwarded: usize,
    /// Decisions of SETTLE.
    pub settlements: BTreeMap<SettlementOutcome, usize>,
    /// Batches that closed.
    pub batches_closed: usize,
    /// Reserves that fell free.
    pub reserves_released: usize,
    /// Records of `settlement.payouts`.
    pub payouts: usize,
    /// Their sums by currency, in minor units.
    pub paid_out_minor: BTreeMap<String, i128>,
    /// Records of `payments.results`.
    pub results: usize,
    /// Records of `payments.dead-letter`.
    pub dead_letters: usize,
    /// Records of `ledger.transactions`.
    pub ledger_transactions: usize,
    /// Debits and credits of the whole ledger by currency, in minor units.
    pub ledger_sums: BTreeMap<String, (i128, i128)>,
}

impl Report {
    /// Number of decisions of AUTHORIZE with this outcome.
    pub fn decided(&self, outcome: Outcome) -> usize {
        self.decisions.get(&outcome).copied().unwrap_or_default()
    }

    /// Number of decisions of SETTLE with this outcome.
    pub fn settled(&self, outcome: SettlementOutcome) -> usize {
        self.settlements.get(&outcome).copied().unwrap_or_default()
    }
}

fn listed<K: fmt::Debug>(counts: &BTreeMap<K, usize>) -> String {
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name:?}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "requests     {} ({} unreadable)", self.requests, self.unreadable_requests)?;
        writeln!(formatter, "decisions    {}", listed(&self.decisions))?;
        writeln!(formatter, "             {} transitions, {} sent on", self.transitions, self.forwarded)?;
        writeln!(formatter, "settlement   {}", listed(&self.settlements))?;
        let (closed, released) = (self.batches_closed, self.reserves_released);
        writeln!(formatter, "batches      {closed} closed, {released} reserves released")?;
        write!(formatter, "payouts      {}", self.payouts)?;
        for (currency, sum) in &self.paid_out_minor {
            write!(formatter, ", {currency} {sum} minor")?;
        }
        writeln!(formatter)?;
        writeln!(formatter, "refusals     {} results, {} dead letters", self.results, self.dead_letters)?;
        write!(formatter, "ledger       {} transactions", self.ledger_transactions)?;
        for (currency, (debits, credits)) in &self.ledger_sums {
            write!(formatter, ", {currency} {debits} = {credits} minor")?;
        }
        Ok(())
    }
}
