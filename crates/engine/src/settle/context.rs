//! What every decision of SETTLE looks at.

use settle_ledger::chain::Draft;
use settle_types::settle::LedgerTransaction;
use settle_types::{Currency, Day, MerchantId, Timestamp};

use super::config::SettleConfig;
use super::state::{self, BatchRow, CursorRow, SettleRow};
use crate::meta::Meta;
use crate::rows::Rows;

/// What a decision looks at.
pub(super) struct Context<'a> {
    pub(super) rows: &'a Rows<SettleRow>,
    pub(super) meta: &'a Meta,
    pub(super) config: &'a SettleConfig,
    pub(super) now: Timestamp,
}

impl<'a> Context<'a> {
    /// Where the merchant stands.
    pub(super) fn cursor(&self, merchant: &MerchantId, currency: Currency) -> CursorRow {
        state::cursor(self.rows.get(&state::cursor_key(merchant, currency))).copied().unwrap_or_default()
    }

    /// A batch that the cursor says is open.
    pub(super) fn open_batch(&self, merchant: &MerchantId, currency: Currency, day: Day) -> &'a BatchRow {
        let row = self.rows.get(&state::batch_key(merchant, currency, day));
        state::batch(row).expect("an open batch has a row")
    }

    /// Seals what is to be posted. Nothing to post: no transaction.
    pub(super) fn seal(&self, draft: Draft) -> Option<LedgerTransaction> {
        if draft.entries.is_empty() {
            return None;
        }
        let partition = u32::try_from(self.meta.partition).expect("partitions are numbered from 0");
        let sealed = self.meta.chain.seal(partition, draft);
        Some(sealed.expect("I6: the posting table gives balanced entries above zero"))
    }
}
