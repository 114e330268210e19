//! What can be asked of SETTLE.

use settle_types::authorize::PaymentApproved;
use settle_types::event::{ConfigActivation, SourcePosition};

use super::state::DueRow;
use crate::input::Malformed;
use crate::stage::DueCause;
use crate::state_key::StateKey;

/// One thing to decide.
#[derive(Debug)]
pub enum Command {
    /// A record of `payments.approved`.
    Approved(Box<ApprovedRecord>),
    /// A row of the due table.
    Due {
        /// Its key.
        key: StateKey,
        /// What is due.
        due: DueRow,
        /// Why it is handled.
        cause: DueCause,
    },
    /// A configuration to activate.
    Activate(ConfigActivation),
}

/// A record of `payments.approved`.
#[derive(Debug)]
pub struct ApprovedRecord {
    /// Where it was read.
    pub position: SourcePosition,
    /// Partition of the ledger that it posts to: the number of the input's partition (I3).
    pub decoded: Result<PaymentApproved, Malformed>,
}

impl Command {
    /// A record of `payments.approved`.
    pub fn approved(position: SourcePosition, decoded: Result<PaymentApproved, Malformed>) -> Self {
        Self::Approved(Box::new(ApprovedRecord { position, decoded }))
    }
}
