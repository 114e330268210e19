//! The ledger by itself: each partition is a chain of hashes, and debits equal credits.

use std::collections::BTreeMap;

use settle_ledger::chain::{Chain, transaction_id};
use settle_log::Record;
use settle_types::settle::{Direction, LedgerTransaction};
use settle_types::{Currency, topic};

use crate::finding::{Finding, Kind, Place, Side};
use crate::run::Run;

/// Debits and credits of all that was read, by currency.
#[derive(Default)]
pub(crate) struct Totals {
    sums: BTreeMap<Currency, (i128, i128)>,
}

impl Totals {
    /// Tells which currencies are not balanced over the whole ledger.
    pub(crate) fn check(&self, run: &mut Run<'_>) {
        for (currency, (debits, credits)) in
            self.sums.iter().filter(|(_, (debits, credits))| debits != credits)
        {
            let detail =
                format!("I6: over the whole ledger {currency} debits are {debits} and credits {credits}");
            let place = Place::new(topic::LEDGER_TRANSACTIONS, 0, 0);
            let mut finding = Finding::new(Kind::Balance, place.clone(), detail).source(Some(place));
            // The transactions that are to blame were named before.
            finding.is_consequence = true;
            run.findings.add(finding);
        }
    }
}

/// One partition of the ledger, record by record.
pub(crate) struct LedgerPartition<'t> {
    number: u32,
    chain: Option<Chain>,
    totals: &'t mut Totals,
}

impl<'t> LedgerPartition<'t> {
    /// `is_whole`: it begins with its first transaction.
    pub(crate) fn new(number: u32, is_whole: bool, totals: &'t mut Totals) -> Self {
        Self { number, chain: is_whole.then(Chain::default), totals }
    }

    /// Judges the next record.
    pub(crate) fn take(&mut self, run: &mut Run<'_>, record: &Record) {
        let place = Place::of(record);
        let decoded = crate::codec::decode(record.value.as_deref().unwrap_or_default());
        let transaction: LedgerTransaction = match decoded {
            Ok(transaction) => transaction,
            Err(error) => {
                let finding = Finding::new(Kind::Unreadable, place, error.to_string());
                run.findings.add(finding.found(Some(Side::of(record))));
                // Its hash is not known: the next one is believed.
                self.chain = None;
                return;
            }
        };
        for entry in &transaction.entries {
            let (debits, credits) = self.totals.sums.entry(entry.currency).or_default();
            match entry.direction {
                Direction::Debit => *debits += entry.amount_minor.wide(),
                Direction::Credit => *credits += entry.amount_minor.wide(),
                Direction::Unknown => {}
            }
        }
        let before = self.chain.replace(Chain::after(&transaction));
        if !run.judges(transaction.recorded_at.as_millis()) {
            return;
        }
        run.checked.ledger_transactions += 1;
        // Where the one before is not known, its own word is taken for it.
        let before =
            before.unwrap_or(Chain { next_sequence: transaction.sequence, head: transaction.prev_hash });
        if let Err(error) = before.verify(&transaction) {
            let kind = match error {
                settle_ledger::Error::Unbalanced { .. } => Kind::Balance,
                _ => Kind::Chain,
            };
            let finding = Finding::new(kind, place, error.to_string());
            run.findings.add(finding.found(Some(Side::of(record))));
        } else if transaction.transaction_id != transaction_id(self.number, transaction.sequence) {
            let detail =
                format!("I3: transaction {} stands in partition {}", transaction.transaction_id, self.number);
            run.findings.add(Finding::new(Kind::Partition, place, detail).found(Some(Side::of(record))));
        }
    }
}
