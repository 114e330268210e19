//! What a run did, read back from the topics as any consumer would: decisions, batches, payouts, trial balance.

use std::collections::BTreeMap;

use settle_ledger::balance::{Sides, TrialBalance};
use settle_ledger::{Account, Chain};
use settle_log::{Log, Record};
use settle_schema::AvroRecord;
use settle_types::authorize::{DecisionEvent, Outcome};
use settle_types::money::Formatted;
use settle_types::settle::{BatchStatus, LedgerTransaction, SettlementEvent, SettlementOutcome};
use settle_types::{Currency, CurrencyTable, topic};

use crate::open;
use crate::output::{Sheet, count};

/// Rows of the table of reasons, at most.
const MOST_REASONS: usize = 12;

/// Sums over all topics of a log.
#[derive(Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<Outcome, u64>,
    reasons: BTreeMap<(Outcome, String), u64>,
    settlement: BTreeMap<SettlementOutcome, u64>,
    late: u64,
    batches: BTreeMap<(Currency, &'static str), u64>,
    payouts: BTreeMap<Currency, (u64, i128)>,
    reserves: BTreeMap<Currency, i128>,
    carried: BTreeMap<Currency, (u64, i128)>,
    trial_balance: TrialBalance,
    transactions: u64,
}

impl Report {
    /// Reads the journals and the ledger; the chain of each ledger partition is verified on the way.
    pub(crate) fn read(log: &dyn Log) -> anyhow::Result<Self> {
        let mut report = Self::default();
        open::read_topic(log, topic::DECIDED, |record| {
            report.decided(&value(record)?);
            Ok(())
        })?;
        open::read_topic(log, topic::SETTLEMENT_EVENTS, |record| {
            report.settled(&value(record)?);
            Ok(())
        })?;
        let mut chains: BTreeMap<u32, Chain> = BTreeMap::new();
        open::read_topic(log, topic::LEDGER_TRANSACTIONS, |record| {
            let transaction: LedgerTransaction = value(record)?;
            let chain = chains.entry(record.partition).or_default();
            *chain = chain.verify(&transaction)?;
            report.trial_balance.add(&transaction);
            report.transactions += 1;
            Ok(())
        })?;
        Ok(report)
    }

    fn decided(&mut self, event: &DecisionEvent) {
        let Some(decision) = &event.decision else { return };
        *self.outcomes.entry(decision.outcome).or_default() += 1;
        for reason in &decision.reasons {
            *self.reasons.entry((decision.outcome, reason.code.to_string())).or_default() += 1;
        }
    }

    fn settled(&mut self, event: &SettlementEvent) {
        if let Some(decision) = &event.decision {
            *self.settlement.entry(decision.outcome).or_default() += 1;
            let is_late = decision.booking.as_ref().is_some_and(|booking| booking.late_for.is_some());
            self.late += u64::from(is_late);
        }
        let Some(closed) = &event.batch_closed else { return };
        *self.batches.entry((closed.currency, closed.status.as_str())).or_default() += 1;
        *self.reserves.entry(closed.currency).or_default() += closed.reserve_minor.wide();
        if closed.status == BatchStatus::Carried {
            let (number, sum) = self.carried.entry(closed.currency).or_default();
            *number += 1;
            *sum += closed.carried_out_minor.wide();
        }
        if let Some(payout) = &closed.payout {
            let (number, sum) = self.payouts.entry(closed.currency).or_default();
            *number += 1;
            *sum += payout.amount_minor.wide();
        }
    }

    /// Prints all tables.
    pub(crate) fn print(&self, currencies: &CurrencyTable) {
        self.print_decisions();
        self.print_settlement(currencies);
        self.print_trial_balance(currencies);
    }

    /// True if debits equal credits in every currency.
    pub(crate) fn is_balanced(&self) -> bool {
        self.trial_balance.is_balanced()
    }

    /// Requests decided.
    pub(crate) fn decisions(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn print_decisions(&self) {
        let mut sheet = Sheet::new("Decisions of AUTHORIZE", &["outcome", "requests"], 1);
        for (outcome, number) in &self.outcomes {
            sheet.row([outcome.as_str().to_owned(), count(*number)]);
        }
        sheet.row(["all".to_owned(), count(self.decisions())]);
        sheet.print();
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by(|(left_name, left), (right_name, right)| {
            right.cmp(left).then(left_name.cmp(right_name))
        });
        let mut sheet = Sheet::new("Why, most frequent first", &["outcome", "reason", "requests"], 2);
        for ((outcome, reason), number) in reasons.iter().take(MOST_REASONS) {
            sheet.row([outcome.as_str().to_owned(), reason.clone(), count(**number)]);
        }
        sheet.print();
        if reasons.len() > MOST_REASONS {
            let others: u64 = reasons[MOST_REASONS..].iter().map(|(_, number)| **number).sum();
            crate::output::data(format!(
                "and {} for {} other reasons",
                count(others),
                reasons.len() - MOST_REASONS
            ));
        }
    }

    fn print_settlement(&self, currencies: &CurrencyTable) {
        let mut sheet = Sheet::new("Bookings of SETTLE", &["outcome", "records"], 1);
        for (outcome, number) in &self.settlement {
            sheet.row([outcome.as_str().to_owned(), count(*number)]);
        }
        sheet.row(["late, in the next batch".to_owned(), count(self.late)]);
        sheet.print();
        let header =
            ["currency", "batches paid", "payouts", "reserve kept", "batches carried", "carried over"];
        let mut sheet = Sheet::new("Batches and payouts", &header, 1);
        let awaiting = BatchStatus::AwaitingSettlement.as_str();
        for (currency, reserve) in &self.reserves {
            let amount = |minor_units| Formatted { minor_units, currency: *currency, currencies }.to_string();
            let (_, paid) = self.payouts.get(currency).copied().unwrap_or_default();
            let (carried, carried_sum) = self.carried.get(currency).copied().unwrap_or_default();
            let batches = self.batches.get(&(*currency, awaiting)).copied().unwrap_or_default();
            sheet.row([
                currency.to_string(),
                count(batches),
                amount(paid),
                amount(*reserve),
                count(carried),
                amount(carried_sum),
            ]);
        }
        sheet.print();
    }

    /// Merchants are summed: the trial balance of a day has a row per kind of account.
    fn print_trial_balance(&self, currencies: &CurrencyTable) {
        let mut kinds: BTreeMap<(Currency, String), Sides> = BTreeMap::new();
        for (account, currency, sides) in self.trial_balance.rows() {
            let sums = kinds.entry((currency, kind_of(account))).or_default();
            sums.debits += sides.debits;
            sums.credits += sides.credits;
        }
        let title = format!("Trial balance over {} ledger transactions", count(self.transactions));
        let mut sheet = Sheet::new(title, &["account", "debits", "credits", "balance"], 1);
        for ((currency, kind), sides) in &kinds {
            let amount = |minor_units| Formatted { minor_units, currency: *currency, currencies }.to_string();
            sheet.row([kind.clone(), amount(sides.debits), amount(sides.credits), amount(sides.balance())]);
        }
        for (currency, sides) in self.trial_balance.totals() {
            let amount = |minor_units| Formatted { minor_units, currency, currencies }.to_string();
            sheet.row([
                format!("all {currency}"),
                amount(sides.debits),
                amount(sides.credits),
                amount(sides.balance()),
            ]);
        }
        sheet.print();
    }
}

fn kind_of(account: &str) -> String {
    match Account::parse(account) {
        Some(Account::MerchantPayable(_)) => "merchant:*:payable".to_owned(),
        Some(Account::MerchantReserve(_)) => "merchant:*:reserve".to_owned(),
        Some(Account::MerchantInTransit(_)) => "merchant:*:in-transit".to_owned(),
        Some(Account::ChargebackSuspense(_)) => "chargeback:*:suspense".to_owned(),
        _ => account.to_owned(),
    }
}

fn value<T: AvroRecord>(record: &Record) -> anyhow::Result<T> {
    let position = format!("{}/{}@{}", record.topic, record.partition, record.offset);
    settle_schema::decode(record.value.as_deref().unwrap_or_default())
        .map_err(|error| anyhow::anyhow!("{position}: {error}"))
}
