//! Tables of SETTLE.

use serde::{Deserialize, Serialize};
use settle_ledger::Account;
use settle_types::authorize::PaymentApproved;
use settle_types::event::ConfigActivation;
use settle_types::settle::{BatchStatus, BatchTotals, CloseCause};
use settle_types::{BatchId, Currency, Day, Duration, MerchantId, Minor, PaymentId, PayoutId, Timestamp};

use crate::state_key::{CONFIG_TABLE, DUE_TABLE, KeyBuilder, StateKey, TableId};
use crate::state_value::{Error, StateRow, decode_row, encode_row, typed_row};

/// Booked payments and follow-ups, by merchant and payment id.
pub const BOOKED_TABLE: TableId = 0x20;
/// Batches, by merchant, currency and sales day.
pub const BATCH_TABLE: TableId = 0x21;
/// Which batch is open, by merchant and currency.
pub const CURSOR_TABLE: TableId = 0x22;
/// Balances, by account and currency. Control accounts (`revenue:fees`, ...) are this partition's part.
pub const BALANCE_TABLE: TableId = 0x23;

/// How long a booked payment is remembered (DESIGN: 550 days).
pub const PAYMENT_RETENTION: Duration = Duration::from_days(550);

/// A booked payment or follow-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedRow {
    /// What was booked.
    pub approved: PaymentApproved,
    /// The batch that it is in.
    pub batch_id: BatchId,
    /// Sales day of that batch.
    pub sales_day: Day,
    /// Fee charged.
    pub fee: Minor,
    /// Of a PAYMENT: booked refunds.
    pub refunded: Minor,
    /// Of a PAYMENT: a booked cancellation undid it.
    pub is_cancelled: bool,
    /// From then on it is forgotten.
    pub expires_at: Timestamp,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRow {
    /// Its id.
    pub batch_id: BatchId,
    /// Where it stands.
    pub status: BatchStatus,
    /// Its sums.
    pub totals: BatchTotals,
    /// When it closes.
    pub cut_off_at: Timestamp,
    /// What closed it.
    pub closed_by: Option<CloseCause>,
    /// Kept back at the close.
    pub reserve: Minor,
    /// Left for the next batch at the close.
    pub carried_out: Minor,
    /// Its payout: id, amount and value date.
    pub payout: Option<(PayoutId, Minor, Day)>,
}

/// Where a merchant stands in a currency. At most one batch is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRow {
    /// Sales day of the open batch.
    pub open_day: Option<Day>,
    /// Sales day of the batch that closed last.
    pub last_closed_day: Option<Day>,
    /// What that left unpaid; below zero: owed by the merchant.
    pub carried: Minor,
    /// Kept back from closed batches and not released yet: a later batch may have to take all of it.
    pub reserved: Minor,
}

/// Debits less credits of an account in a currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceRow {
    /// Minor units.
    pub debit_balance: i128,
}

/// What waits for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DueRow {
    /// A batch closes.
    CutOff {
        /// Whose batch.
        merchant_id: MerchantId,
        /// Its currency.
        currency: Currency,
        /// Its sales day.
        sales_day: Day,
    },
    /// A reserve falls free.
    ReserveRelease {
        /// The batch that it was kept back from.
        batch_id: BatchId,
        /// Whose it is.
        merchant_id: MerchantId,
        /// Its currency.
        currency: Currency,
        /// Minor units, above zero.
        amount: Minor,
        /// When it falls free.
        due_at: Timestamp,
    },
}

/// A row of any table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleRow {
    /// Of [`CONFIG_TABLE`].
    Config(ConfigActivation),
    /// Of [`BOOKED_TABLE`].
    Booked(Box<BookedRow>),
    /// Of [`BATCH_TABLE`].
    Batch(Box<BatchRow>),
    /// Of [`CURSOR_TABLE`].
    Cursor(CursorRow),
    /// Of [`BALANCE_TABLE`].
    Balance(BalanceRow),
    /// Of [`DUE_TABLE`].
    Due(DueRow),
}

impl StateRow for SettleRow {
    fn expires_at(&self) -> Timestamp {
        match self {
            Self::Booked(row) => row.expires_at,
            _ => Timestamp::MAX,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Config(row) => encode_row(row, out),
            Self::Booked(row) => encode_row(row, out),
            Self::Batch(row) => encode_row(row, out),
            Self::Cursor(row) => encode_row(row, out),
            Self::Balance(row) => encode_row(row, out),
            Self::Due(row) => encode_row(row, out),
        }
    }

    fn decode_body(key: &StateKey, body: &[u8]) -> Result<Self, Error> {
        match key.table() {
            CONFIG_TABLE => decode_row(key, body).map(Self::Config),
            BOOKED_TABLE => decode_row(key, body).map(Self::Booked),
            BATCH_TABLE => decode_row(key, body).map(Self::Batch),
            CURSOR_TABLE => decode_row(key, body).map(Self::Cursor),
            BALANCE_TABLE => decode_row(key, body).map(Self::Balance),
            DUE_TABLE => decode_row(key, body).map(Self::Due),
            table => Err(Error::UnknownTable { table }),
        }
    }
}

typed_row!(
    /// The row as one of [`BOOKED_TABLE`].
    booked or booked_mut, SettleRow::Booked, BookedRow
);
typed_row!(
    /// The row as one of [`BATCH_TABLE`].
    batch or batch_mut, SettleRow::Batch, BatchRow
);
typed_row!(
    /// The row as one of [`CURSOR_TABLE`].
    cursor, SettleRow::Cursor, CursorRow
);
typed_row!(
    /// The row as one of [`BALANCE_TABLE`].
    balance, SettleRow::Balance, BalanceRow
);

/// Key of a booked payment.
pub fn booked_key(merchant: &MerchantId, id: &PaymentId) -> StateKey {
    KeyBuilder::new(BOOKED_TABLE).text(merchant.as_str()).text(id.as_str()).finish()
}

/// Key of a batch.
pub fn batch_key(merchant: &MerchantId, currency: Currency, sales_day: Day) -> StateKey {
    KeyBuilder::new(BATCH_TABLE).text(merchant.as_str()).text(currency.as_str()).day(sales_day).finish()
}

/// Id of a batch.
pub fn batch_id(merchant: &MerchantId, currency: Currency, sales_day: Day) -> BatchId {
    BatchId::new(format!("{merchant}:{currency}:{sales_day}"))
}

/// Key of a merchant's cursor.
pub fn cursor_key(merchant: &MerchantId, currency: Currency) -> StateKey {
    KeyBuilder::new(CURSOR_TABLE).text(merchant.as_str()).text(currency.as_str()).finish()
}

/// Key of a balance.
pub fn balance_key(account: &str, currency: Currency) -> StateKey {
    KeyBuilder::new(BALANCE_TABLE).text(account).text(currency.as_str()).finish()
}

/// Key of the balance of what is owed to a merchant.
pub fn payable_key(merchant: &MerchantId, currency: Currency) -> StateKey {
    balance_key(&Account::MerchantPayable(merchant.clone()).name(), currency)
}

/// Key of a row that waits. A reserve falls free before a batch of the same time closes, and so goes into it.
pub fn due_key(due_at: Timestamp, due: &DueRow) -> StateKey {
    let builder = KeyBuilder::new(DUE_TABLE).time(due_at);
    match due {
        DueRow::ReserveRelease { merchant_id, currency, batch_id, .. } => {
            builder.tag(1).text(merchant_id.as_str()).text(currency.as_str()).text(batch_id.as_str()).finish()
        }
        DueRow::CutOff { merchant_id, currency, sales_day } => {
            builder.tag(2).text(merchant_id.as_str()).text(currency.as_str()).day(*sales_day).finish()
        }
    }
}
