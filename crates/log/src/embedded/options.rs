//! How an embedded log is opened.

use crate::error::Error;

/// When a commit is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Before it is acknowledged: one fdatasync for each transaction.
    #[default]
    Commit,
    /// When the operating system likes. A crash of the process loses nothing; a crash of the machine may
    /// lose or damage transactions that were acknowledged. For tests and throw-away data.
    Never,
}

/// Options of an embedded log. They may differ from one opening to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// When a commit is made durable.
    pub sync: SyncMode,
    /// A new segment is begun when a transaction would make the present one larger than this. A
    /// transaction that is larger by itself has a segment of its own.
    pub segment_bytes: u64,
    /// Most bytes of records that one transaction may hold. Memory for it is used about twice at commit.
    pub max_transaction_bytes: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            sync: SyncMode::Commit,
            segment_bytes: 128 * 1024 * 1024,
            max_transaction_bytes: 64 * 1024 * 1024,
        }
    }
}

impl EmbeddedOptions {
    /// The largest `max_transaction_bytes`: a frame states its length in 32 bits, and names and lengths
    /// add to the records.
    pub const LARGEST_TRANSACTION_BYTES: u64 = 1 << 30;

    pub(super) fn check(&self) -> Result<(), Error> {
        let largest = Self::LARGEST_TRANSACTION_BYTES;
        if self.max_transaction_bytes == 0 || self.max_transaction_bytes > largest {
            let given = self.max_transaction_bytes;
            let what = format!("the limit of a transaction is 1 to {largest} bytes, not {given}");
            return Err(Error::InvalidArgument { what });
        }
        Ok(())
    }
}
