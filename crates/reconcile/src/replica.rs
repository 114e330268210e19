//! A partition of a stage as its worker had it, event by event: state, clock, configuration.
//!
//! Owns the order of deciding: fetch, decide, fold. Must not know where commands and events come from.

use settle_codec::{StageCodec, signed_partition};
use settle_engine::stage::{ActiveConfig, DueCause};
use settle_engine::state_key::DUE_TABLE;
use settle_engine::{Meta, Rows, StateKey};
use settle_types::Timestamp;
use settle_types::event::ConfigActivation;

use crate::{Error, FoldState};

/// Rows held in memory before they go to the state.
const CACHED_ROWS: usize = 20_000;
/// Rows of the due table that are looked at with one read.
const DUE_ROWS: usize = 256;

/// The state of a partition.
pub(crate) struct Replica<S: StageCodec> {
    pub(crate) meta: Meta,
    rows: Rows<S::Row>,
    state: Box<dyn FoldState<S::Row>>,
    config: Option<(ConfigActivation, S::Config)>,
    /// No row of the due table stands before this key.
    first_due: StateKey,
    /// While a run is finished: no row before this key concerns it.
    finished_until: Option<StateKey>,
}

impl<S: StageCodec> Replica<S> {
    /// Before the first event.
    pub(crate) fn new(number: u32, state: Box<dyn FoldState<S::Row>>) -> Self {
        Self {
            meta: Meta::new(signed_partition(number)),
            rows: Rows::sharing(S::SHARED_TABLES, CACHED_ROWS / 4),
            state,
            config: None,
            first_due: StateKey::start_of(DUE_TABLE),
            finished_until: None,
        }
    }

    /// The active configuration; none before the first activation.
    pub(crate) fn config(&self) -> Option<&S::Config> {
        self.config.as_ref().map(|(_, config)| config)
    }

    /// Fetches all that is missing, in stages, until `missing` names nothing.
    fn fetch(&mut self, missing: impl Fn(&Rows<S::Row>, &mut Vec<StateKey>)) -> Result<(), Error> {
        self.rows.fetch(missing, |keys, rows| self.state.load(keys, rows))
    }

    /// What the stage says to a command; folds nothing. Nothing at all: the command is one that cannot be decided.
    ///
    /// SETTLE takes for granted that what it is sent was approved, and panics where that cannot be. Of a topic that somebody
    /// else wrote it need not hold.
    pub(crate) fn decide(&mut self, command: &S::Command, now: Timestamp) -> Result<Vec<S::Event>, Error> {
        self.fetch(|rows, missing| S::keys(command, now, rows, missing))?;
        let (_, config) =
            self.config.as_ref().expect("a configuration is activated before anything is decided");
        let decide = std::panic::AssertUnwindSafe(|| S::decide(&self.rows, &self.meta, config, command, now));
        Ok(quiet::catch(decide).unwrap_or_default())
    }

    /// What the stage says to an activation; `None` if the configuration cannot be activated.
    pub(crate) fn activate(
        &mut self,
        activation: &ConfigActivation,
        now: impl FnOnce(&Meta, &S::Config) -> Timestamp,
    ) -> Option<Vec<S::Event>> {
        let config = S::Config::from_activation(activation).ok()?;
        let now = now(&self.meta, &config);
        Some(S::decide(&self.rows, &self.meta, &config, &S::activate(activation.clone()), now))
    }

    /// Folds an event that was decided here.
    pub(crate) fn fold(&mut self, event: &S::Event) -> Result<(), Error> {
        self.fetch(|rows, missing| S::event_keys(event, rows, missing))?;
        S::evolve(&mut self.rows, &mut self.meta, event);
        if let Some(activation) = S::activated(event) {
            let config = S::Config::from_activation(activation).ok();
            self.config = config.map(|config| (activation.clone(), config));
        }
        if let Some(key) = self.rows.take_first_due_put() {
            if key < self.first_due {
                self.first_due = key.clone();
            }
            if self.finished_until.as_ref().is_some_and(|until| key < *until) {
                self.finished_until = None;
            }
        }
        Ok(())
    }

    /// Folds an event that was read and not decided here. `false`: it contradicts the state, which is not to be used any
    /// more.
    ///
    /// The fold takes for granted what the deciders guarantee, and panics where that does not hold. Of a journal that
    /// somebody changed it need not hold.
    pub(crate) fn fold_read(&mut self, event: &S::Event) -> Result<bool, Error> {
        let fold = std::panic::AssertUnwindSafe(|| self.fold(event));
        match quiet::catch(fold) {
            Some(folded) => folded.map(|()| true),
            None => Ok(false),
        }
    }

    /// The rows go to the state when there are many.
    pub(crate) fn persist(&mut self, next_offset: u64) -> Result<(), Error> {
        if self.rows.len() >= CACHED_ROWS {
            self.state.apply(&self.rows, &self.meta, next_offset)?;
            self.rows.stored();
        }
        Ok(())
    }

    /// The first command whose time has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Result<Option<S::Command>, Error> {
        self.finished_until = None;
        let until = StateKey::end_of_due(now);
        if until <= self.first_due {
            return Ok(None);
        }
        let found = self.first_row(self.first_due.clone(), &until, DueCause::Clock)?;
        // What is put before is noticed when it is folded.
        self.first_due = found.as_ref().map_or(until, |(key, _)| key.clone());
        Ok(found.map(|(_, command)| command))
    }

    /// The first command that finishing a run concerns.
    pub(crate) fn next_to_finish(&mut self) -> Result<Option<S::Command>, Error> {
        let from = self.finished_until.clone().unwrap_or_else(|| self.first_due.clone());
        let found = self.first_row(from, &StateKey::end_of(DUE_TABLE), DueCause::Finish)?;
        self.finished_until = found.as_ref().map(|(key, _)| key.clone());
        Ok(found.map(|(_, command)| command))
    }

    fn first_row(
        &self,
        mut from: StateKey,
        until: &StateKey,
        cause: DueCause,
    ) -> Result<Option<(StateKey, S::Command)>, Error> {
        let changes = self.rows.due_changes();
        while from < *until {
            // Rows that were removed since the state was written stand there still: fetch so many more.
            let stored = self.state.due(&from, until, DUE_ROWS + changes.len())?;
            let is_last = stored.len() < DUE_ROWS + changes.len();
            let mut rows: std::collections::BTreeMap<StateKey, S::Row> = stored.into_iter().collect();
            let last = rows.last_key_value().map(|(key, _)| key.clone());
            for (key, is_put) in changes.range(from.clone()..until.clone()) {
                match self.rows.found(key) {
                    Some(row) if *is_put => rows.insert(key.clone(), row.clone()),
                    _ => rows.remove(key),
                };
            }
            let beyond = |key: &StateKey| !is_last && last.as_ref().is_some_and(|last| key > last);
            for (key, row) in &rows {
                if beyond(key) {
                    break;
                }
                if let Some(command) = S::due(key, row, cause) {
                    return Ok(Some((key.clone(), command)));
                }
            }
            match last {
                Some(last) if !is_last => from = last.successor(),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Catches panics without a message on standard error.
mod quiet {
    use std::cell::Cell;
    use std::panic::{self, UnwindSafe};
    use std::sync::Once;

    thread_local! {
        static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    }

    /// What the function returns; `None` if it panicked.
    pub(super) fn catch<T>(function: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let others = panic::take_hook();
            panic::set_hook(Box::new(move |information| {
                if !IS_QUIET.get() {
                    others(information);
                }
            }));
        });
        IS_QUIET.set(true);
        let caught = panic::catch_unwind(function).ok();
        IS_QUIET.set(false);
        caught
    }
}
