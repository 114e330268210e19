//! `settle inspect key | payment | merchant | balance`: looks into the stores and the journals.
//!
//! Ids are looked for in every partition: whoever asks at night has an id, not its partition.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use settle_config::Config;
use settle_engine::authorize::state::{IDEMPOTENCY_TABLE, PAYMENT_TABLE};
use settle_engine::authorize::{Authorize, AuthorizeRow};
use settle_engine::settle::state::{BALANCE_TABLE, BATCH_TABLE, BOOKED_TABLE};
use settle_engine::settle::{Settle, SettleRow};
use settle_engine::state_key::{TableId, parts_of};
use settle_engine::{FOLD_VERSION, Stage, StateKey, StateRow};
use settle_log::{Log, TopicPartition};
use settle_store::{Identity, Resources, StateStore, Store};
use settle_types::money::Formatted;
use settle_types::settle::LedgerTransaction;
use settle_types::{Currency, CurrencyTable, Minor, topic};

use crate::args::{Common, InspectCommand, OutputFormat};
use crate::output::{self, Sheet, count};
use crate::schemas::RecordReader;
use crate::{Ended, open, settings};

/// Runs `settle inspect`.
pub(crate) fn run(common: &Common, command: &InspectCommand) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    let log = open::log_read_only(&config)?;
    let records = RefCell::new(RecordReader::open(&config)?);
    let view = View { currencies: CurrencyTable::with_overrides(&config.currencies), config, log, records };
    let found = match command {
        InspectCommand::Key { key, merchant, format } => view.key(key, merchant.as_deref(), *format)?,
        InspectCommand::Payment { id, format } => view.payment(id, *format)?,
        InspectCommand::Merchant { id, format } => view.merchant(id, *format)?,
        InspectCommand::Balance { account, format } => {
            view.balance(account.as_deref().unwrap_or_default(), *format)?
        }
    };
    if !found {
        output::message("nothing found");
    }
    Ok(if found { Ended::Done } else { Ended::WithFindings })
}

struct View {
    config: Config,
    currencies: CurrencyTable,
    log: std::sync::Arc<dyn Log>,
    records: RefCell<RecordReader>,
}

impl View {
    /// Calls `each` for every row of a table, in all partitions of a stage.
    fn each_row<S: Stage>(
        &self,
        table: TableId,
        mut each: impl FnMut(&StateKey, S::Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let resources = Resources::new(settings::store_options(&self.config))?;
        let mut reader = self.log.reader()?;
        for number in 0..open::partition_count(&*self.log, S::PRIMARY)? {
            let folder = settings::state_directory(&self.config)?.join(S::NAME).join(number.to_string());
            if !folder.exists() {
                continue;
            }
            let identity = Identity { stage: S::NAME, partition: number, fold_version: FOLD_VERSION };
            let store: Store<S::Row> = Store::open(&folder, &resources, identity)?;
            let journal = TopicPartition::new(S::JOURNAL, number);
            let end = reader.end_offset(&journal)?;
            let next = store.progress().map_or(0, |progress| progress.journal_next_offset);
            if next < end {
                output::message(format!(
                    "note: the store of {journal} is {} events behind its journal; `settle run --until-idle` catches it up",
                    count(end - next)
                ));
            }
            scan_table(&store, table, &mut each)?;
        }
        Ok(())
    }

    fn amount(&self, amount: impl Into<i128>, currency: Currency) -> String {
        Formatted { minor_units: amount.into(), currency, currencies: &self.currencies }.to_string()
    }

    fn minor(&self, amount: Minor, currency: Currency) -> String {
        self.amount(amount.get(), currency)
    }

    fn key(&self, key: &str, merchant: Option<&str>, format: OutputFormat) -> anyhow::Result<bool> {
        let mut sheet = Sheet::new(
            format!("Key {key}"),
            &["merchant", "debtor", "first decision", "outcome", "payment", "free from"],
            6,
        );
        let mut found = false;
        self.each_row::<Authorize>(IDEMPOTENCY_TABLE, |state_key, row| {
            let AuthorizeRow::Idempotency(row) = row else { return Ok(()) };
            let parts = parts_of(state_key);
            let [of_merchant, of_debtor, of_key] = parts.as_slice() else { return Ok(()) };
            if of_key != key || merchant.is_some_and(|merchant| merchant != of_merchant) {
                return Ok(());
            }
            found = true;
            match format {
                OutputFormat::Json => output::json(&KeyAnswer {
                    merchant_id: of_merchant,
                    debtor_account: of_debtor,
                    idempotency_key: key,
                    row: &row,
                }),
                OutputFormat::Human => sheet.row([
                    of_merchant.clone(),
                    of_debtor.clone(),
                    row.decision_id.to_string(),
                    row.outcome.as_str().to_owned(),
                    row.payment_id.to_string(),
                    row.expires_at.to_string(),
                ]),
            }
            Ok(())
        })?;
        print_if(found && format == OutputFormat::Human, &sheet);
        Ok(found)
    }

    fn payment(&self, id: &str, format: OutputFormat) -> anyhow::Result<bool> {
        let mut found = false;
        self.each_row::<Authorize>(PAYMENT_TABLE, |_, row| {
            let AuthorizeRow::Payment(row) = row else { return Ok(()) };
            let payment = &row.payment;
            if payment.payment_id.as_str() != id {
                return Ok(());
            }
            found = true;
            if format == OutputFormat::Json {
                output::json(&row);
                return Ok(());
            }
            let mut sheet = Sheet::new(format!("Payment {id}: decision"), &["what", "value"], 2);
            let lines = [
                ("kind", payment.event_type.as_str().to_owned()),
                ("status", row.status.as_str().to_owned()),
                ("decision", row.decision_id.to_string()),
                ("amount", self.minor(payment.amount_minor, payment.currency)),
                ("refunded", self.minor(row.refunded, payment.currency)),
                ("disputed", self.minor(row.disputed, payment.currency)),
                ("debtor", payment.debtor_account.to_string()),
                ("merchant", payment.merchant_id.to_string()),
                ("idempotency key", payment.idempotency_key.to_string()),
                ("requested", payment.requested_at.to_string()),
            ];
            lines.into_iter().for_each(|(what, value)| sheet.row([what.to_owned(), value]));
            sheet.print();
            Ok(())
        })?;
        self.each_row::<Settle>(BOOKED_TABLE, |_, row| {
            let SettleRow::Booked(row) = row else { return Ok(()) };
            if row.approved.payment_id.as_str() != id {
                return Ok(());
            }
            found = true;
            if format == OutputFormat::Json {
                output::json(&row);
                return Ok(());
            }
            let currency = row.approved.currency;
            let mut sheet = Sheet::new(format!("Payment {id}: settlement"), &["what", "value"], 2);
            sheet.row(["batch".to_owned(), row.batch_id.to_string()]);
            sheet.row(["fee".to_owned(), self.minor(row.fee, currency)]);
            sheet.print();
            self.entries_of(&row.approved.decision_id)
        })?;
        Ok(found)
    }

    fn entries_of(&self, decision: &settle_types::DecisionId) -> anyhow::Result<()> {
        let mut sheet =
            Sheet::new("Ledger entries", &["transaction", "posting", "account", "side", "amount"], 4);
        open::read_topic(&*self.log, topic::LEDGER_TRANSACTIONS, |record| {
            let transaction: LedgerTransaction = self.records.borrow_mut().value(record)?;
            if transaction.decision_id.as_ref() != Some(decision) {
                return Ok(());
            }
            for entry in &transaction.entries {
                sheet.row([
                    transaction.transaction_id.to_string(),
                    transaction.posting.to_string(),
                    entry.account.to_string(),
                    entry.direction.as_str().to_owned(),
                    self.minor(entry.amount_minor, entry.currency),
                ]);
            }
            Ok(())
        })?;
        sheet.print();
        Ok(())
    }

    fn merchant(&self, id: &str, format: OutputFormat) -> anyhow::Result<bool> {
        let header = [
            "sales day",
            "currency",
            "status",
            "sales",
            "fees",
            "refunds",
            "chargebacks",
            "carried in",
            "reserve",
            "payout",
        ];
        let mut sheet = Sheet::new(format!("Batches of {id}"), &header, 3);
        let mut found = false;
        self.each_row::<Settle>(BATCH_TABLE, |key, row| {
            let SettleRow::Batch(row) = row else { return Ok(()) };
            let parts = parts_of(key);
            let (Some(merchant), Some(currency)) =
                (parts.first(), parts.get(1).and_then(|code| Currency::new(code)))
            else {
                return Ok(());
            };
            if merchant != id {
                return Ok(());
            }
            found = true;
            if format == OutputFormat::Json {
                output::json(&row);
                return Ok(());
            }
            let totals = &row.totals;
            let day = row.batch_id.as_str().rsplit(':').next().unwrap_or_default().to_owned();
            sheet.row([
                day,
                currency.to_string(),
                row.status.as_str().to_owned(),
                self.minor(totals.sales_minor, currency),
                self.minor(totals.fees_minor, currency),
                self.minor(totals.refunds_minor, currency),
                self.minor(totals.chargebacks_minor, currency),
                self.minor(totals.carried_in_minor, currency),
                self.minor(row.reserve, currency),
                row.payout
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |(_, amount, _)| self.minor(*amount, currency)),
            ]);
            Ok(())
        })?;
        print_if(found && format == OutputFormat::Human, &sheet);
        let has_balances = self.balance(&format!("merchant:{id}:"), format)?;
        Ok(found || has_balances)
    }

    /// Balances of the accounts that begin with `prefix`, summed over the partitions.
    fn balance(&self, prefix: &str, format: OutputFormat) -> anyhow::Result<bool> {
        let mut balances: BTreeMap<(String, Currency), i128> = BTreeMap::new();
        self.each_row::<Settle>(BALANCE_TABLE, |key, row| {
            let SettleRow::Balance(row) = row else { return Ok(()) };
            let parts = parts_of(key);
            let [account, currency] = parts.as_slice() else { return Ok(()) };
            if let Some(currency) = Currency::new(currency).filter(|_| account.starts_with(prefix)) {
                *balances.entry((account.clone(), currency)).or_default() += row.debit_balance;
            }
            Ok(())
        })?;
        let mut sheet = Sheet::new("Balances", &["account", "debit", "credit"], 1);
        for ((account, currency), debit_balance) in &balances {
            let shown = self.amount(debit_balance.abs(), *currency);
            let (debit, credit) =
                if *debit_balance >= 0 { (shown, String::new()) } else { (String::new(), shown) };
            match format {
                OutputFormat::Json => output::json(&BalanceAnswer {
                    account,
                    currency: *currency,
                    debit_balance_minor: *debit_balance,
                }),
                OutputFormat::Human => sheet.row([account.clone(), debit, credit]),
            }
        }
        print_if(!balances.is_empty() && format == OutputFormat::Human, &sheet);
        Ok(!balances.is_empty())
    }
}

#[derive(Serialize)]
struct KeyAnswer<'a> {
    merchant_id: &'a str,
    debtor_account: &'a str,
    idempotency_key: &'a str,
    #[serde(flatten)]
    row: &'a settle_engine::authorize::state::IdempotencyRow,
}

#[derive(Serialize)]
struct BalanceAnswer<'a> {
    account: &'a str,
    currency: Currency,
    debit_balance_minor: i128,
}

fn print_if(is_wanted: bool, sheet: &Sheet) {
    if is_wanted {
        sheet.print();
    }
}

const SCAN_ROWS: usize = 1_000;

fn scan_table<R: StateRow>(
    store: &Store<R>,
    table: TableId,
    each: &mut impl FnMut(&StateKey, R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut start = StateKey::start_of(table);
    loop {
        let rows = store.scan(table, &start, SCAN_ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        start = last.successor();
        for (key, row) in rows {
            each(&key, row)?;
        }
    }
}
