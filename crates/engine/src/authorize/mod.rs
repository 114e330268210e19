//! AUTHORIZE: has this payer asked for this before, and may it be done?
//!
//! State: idempotency keys, the payments of each debtor, daily sums, scheduled payments. Journal:
//! `payments.decided`.

pub mod command;
pub mod config;
mod decide;
mod evolve;
pub mod fingerprint;
mod follow_up;
mod judgement;
mod keys;
mod project;
pub mod state;
mod transition;
pub mod validate;

use settle_types::authorize::DecisionEvent;
use settle_types::event::ConfigActivation;
use settle_types::{Timestamp, topic};

use crate::input::Input;
use crate::meta::Meta;
use crate::output::Output;
use crate::rows::Rows;
use crate::stage::{DueCause, Envelope, Stage};
use crate::state_key::{StateKey, TableId};

pub use command::Command;
pub use config::{AuthorizeConfig, AuthorizeSettings};
pub use state::AuthorizeRow;

/// The stage AUTHORIZE.
#[derive(Debug)]
pub struct Authorize;

impl Stage for Authorize {
    type Command = Command;
    type Event = DecisionEvent;
    type Row = AuthorizeRow;
    type Config = AuthorizeConfig;

    const NAME: &'static str = "authorize";
    const PRIMARY: &'static str = topic::REQUESTED;
    const SECONDARIES: &'static [&'static str] = &[topic::RESULTS, topic::REROUTED];
    const SAME_PARTITION_OUTPUTS: &'static [&'static str] = &[];
    const OUTPUTS: &'static [&'static str] = &[topic::APPROVED, topic::DEAD_LETTER, topic::REROUTED];
    const JOURNAL: &'static str = topic::DECIDED;
    const SHARED_TABLES: &'static [TableId] = &[state::VELOCITY_TABLE];

    fn now(meta: &Meta, config: &AuthorizeConfig, command: &Command, wall: Timestamp) -> Timestamp {
        match command {
            Command::Request(request) => {
                let requested_at = request.judged.valid().map(|valid| valid.payment.requested_at);
                config.clock().now_for_request(meta.now, requested_at, wall)
            }
            Command::Result(_) | Command::Due(_) | Command::Activate(_) => Self::idle_now(meta, config, wall),
        }
    }

    fn idle_now(meta: &Meta, config: &AuthorizeConfig, wall: Timestamp) -> Timestamp {
        config.clock().now_without_request(meta.now, wall)
    }

    fn keys(command: &Command, now: Timestamp, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
        keys::of_command(command, now, rows, missing);
    }

    fn event_keys(event: &DecisionEvent, rows: &Rows<AuthorizeRow>, missing: &mut Vec<StateKey>) {
        keys::of_event(event, rows, missing);
    }

    fn decide(
        rows: &Rows<AuthorizeRow>,
        meta: &Meta,
        config: &AuthorizeConfig,
        command: &Command,
        now: Timestamp,
    ) -> Vec<DecisionEvent> {
        decide::decide(rows, meta, config, command, now)
    }

    fn evolve(rows: &mut Rows<AuthorizeRow>, meta: &mut Meta, event: &DecisionEvent) {
        evolve::evolve(rows, meta, event);
    }

    fn project(event: &DecisionEvent, input: Option<&Input<'_>>) -> Vec<Output> {
        project::project(event, input)
    }

    fn journal_key(event: &DecisionEvent, input: Option<&Input<'_>>) -> Option<Vec<u8>> {
        project::journal_key(event, input)
    }

    fn due(_key: &StateKey, row: &AuthorizeRow, cause: DueCause) -> Option<Command> {
        // A scheduled payment waits for its own time: finishing a run does not carry it out early.
        match (row, cause) {
            (AuthorizeRow::Scheduled(scheduled), DueCause::Clock) => Some(Command::Due(scheduled.clone())),
            _ => None,
        }
    }

    fn activate(activation: ConfigActivation) -> Command {
        Command::Activate(activation)
    }

    fn active_config(row: &AuthorizeRow) -> Option<&ConfigActivation> {
        match row {
            AuthorizeRow::Config(activation) => Some(activation),
            _ => None,
        }
    }

    fn envelope(event: &DecisionEvent) -> Envelope<'_> {
        Envelope {
            sequence: event.sequence,
            now: event.now,
            input: event.input.as_ref(),
            min_fold_version: event.min_fold_version,
        }
    }

    fn activated(event: &DecisionEvent) -> Option<&ConfigActivation> {
        event.config.as_ref()
    }
}
