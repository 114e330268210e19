//! SETTLE: what does this merchant get, and when?
//!
//! State: booked payments, batches, balances, and what waits for a time. Journal: `settlement.events`.

mod book;
mod close;
pub mod command;
pub mod config;
mod context;
mod decide;
mod evolve;
mod keys;
mod project;
pub mod state;

use settle_types::event::ConfigActivation;
use settle_types::settle::SettlementEvent;
use settle_types::{Timestamp, topic};

use crate::input::Input;
use crate::meta::Meta;
use crate::output::Output;
use crate::rows::Rows;
use crate::stage::{DueCause, Envelope, Stage};
use crate::state_key::{StateKey, TableId};

pub use command::Command;
pub use config::{SettleConfig, SettleSettings};
pub use state::SettleRow;

/// The stage SETTLE.
#[derive(Debug)]
pub struct Settle;

impl Stage for Settle {
    type Command = Command;
    type Event = SettlementEvent;
    type Row = SettleRow;
    type Config = SettleConfig;

    const NAME: &'static str = "settle";
    const PRIMARY: &'static str = topic::APPROVED;
    const SECONDARIES: &'static [&'static str] = &[];
    const SAME_PARTITION_OUTPUTS: &'static [&'static str] = &[topic::LEDGER_TRANSACTIONS, topic::PAYOUTS];
    const OUTPUTS: &'static [&'static str] =
        &[topic::LEDGER_TRANSACTIONS, topic::PAYOUTS, topic::RESULTS, topic::DEAD_LETTER];
    const JOURNAL: &'static str = topic::SETTLEMENT_EVENTS;
    const SHARED_TABLES: &'static [TableId] =
        &[state::BATCH_TABLE, state::CURSOR_TABLE, state::BALANCE_TABLE];

    fn now(meta: &Meta, config: &SettleConfig, command: &Command, wall: Timestamp) -> Timestamp {
        let idle = Self::idle_now(meta, config, wall);
        match command {
            Command::Approved(record) => {
                record.decoded.as_ref().map_or(idle, |approved| idle.max(approved.decided_at))
            }
            Command::Due { .. } | Command::Activate(_) => idle,
        }
    }

    fn idle_now(meta: &Meta, config: &SettleConfig, wall: Timestamp) -> Timestamp {
        config.clock().now_without_request(meta.now, wall)
    }

    fn keys(command: &Command, now: Timestamp, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
        keys::of_command(command, now, rows, missing);
    }

    fn event_keys(event: &SettlementEvent, rows: &Rows<SettleRow>, missing: &mut Vec<StateKey>) {
        keys::of_event(event, rows, missing);
    }

    fn decide(
        rows: &Rows<SettleRow>,
        meta: &Meta,
        config: &SettleConfig,
        command: &Command,
        now: Timestamp,
    ) -> Vec<SettlementEvent> {
        vec![decide::decide(rows, meta, config, command, now)]
    }

    fn evolve(rows: &mut Rows<SettleRow>, meta: &mut Meta, event: &SettlementEvent) {
        evolve::evolve(rows, meta, event);
    }

    fn project(event: &SettlementEvent, input: Option<&Input<'_>>) -> Vec<Output> {
        project::project(event, input)
    }

    fn journal_key(event: &SettlementEvent, input: Option<&Input<'_>>) -> Option<Vec<u8>> {
        project::journal_key(event, input)
    }

    fn due(key: &StateKey, row: &SettleRow, cause: DueCause) -> Option<Command> {
        let SettleRow::Due(due) = row else { return None };
        let concerns = cause == DueCause::Clock || matches!(due, state::DueRow::CutOff { .. });
        concerns.then(|| Command::Due { key: key.clone(), due: due.clone(), cause })
    }

    fn activate(activation: ConfigActivation) -> Command {
        Command::Activate(activation)
    }

    fn active_config(row: &SettleRow) -> Option<&ConfigActivation> {
        match row {
            SettleRow::Config(activation) => Some(activation),
            _ => None,
        }
    }

    fn envelope(event: &SettlementEvent) -> Envelope<'_> {
        Envelope {
            sequence: event.sequence,
            now: event.now,
            input: event.input.as_ref(),
            min_fold_version: event.min_fold_version,
        }
    }

    fn activated(event: &SettlementEvent) -> Option<&ConfigActivation> {
        event.config.as_ref()
    }
}
