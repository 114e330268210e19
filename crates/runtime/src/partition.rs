//! One partition of a stage: its store, the overlay of the open transaction, and the decisions on them.
//!
//! The overlay (`rows`, `meta`) runs ahead of the store by the open transaction and nothing else: `persist`
//! catches the store up after the commit, `roll_back` drops the overlay after an abort (I1). Rows that many commands share
//! stay in it after a commit, as the store has them.

use std::path::Path;
use std::time::{Duration, Instant};

use settle_engine::stage::{ActiveConfig, DueCause};
use settle_engine::state_key::DUE_TABLE;
use settle_engine::{FOLD_VERSION, Meta, Rows, Stage, StateKey};
use settle_log::TopicPartition;
use settle_store::{Checkpoint, Progress, StateStore};
use settle_types::Timestamp;
use settle_types::event::ConfigActivation;

use crate::codec::{StageCodec, signed_partition};
use crate::error::Error;

/// Rows that stay in memory after a commit, at most: some 300 bytes each.
const SHARED_ROWS: usize = 4_096;

/// State of a partition while a worker owns it.
pub(crate) struct Partition<S: StageCodec> {
    pub(crate) number: u32,
    pub(crate) journal: TopicPartition,
    /// Next offset of the journal that the overlay does not contain.
    pub(crate) journal_next_offset: u64,
    pub(crate) meta: Meta,
    rows: Rows<S::Row>,
    /// Of the rows, those that were there when the open transaction began.
    kept_rows: usize,
    store: Box<dyn StateStore<S::Row>>,
    /// What tells the journal from another topic that had its name; empty where the log has no such thing.
    journal_identity: String,
    flushed_at: Instant,
    config: Option<(ConfigActivation, S::Config)>,
    /// No row of the due table waits for an earlier time.
    next_due: Timestamp,
    /// The earliest time for which a row was put since `due` was asked last.
    first_put_since_due: Timestamp,
}

impl<S: StageCodec> Partition<S> {
    /// Takes over a store as it is; the journal may go on after it.
    ///
    /// # Errors
    /// [`Error::JournalReplaced`] if the store was built from another topic than that of `journal_identity`.
    pub(crate) fn new(
        number: u32,
        store: Box<dyn StateStore<S::Row>>,
        journal_identity: String,
        opened_at: Instant,
    ) -> Result<Self, Error> {
        let journal = TopicPartition::new(S::JOURNAL, number);
        let stored = store.progress().map(|progress| progress.journal_topic_identity.as_str());
        if let Some(stored) = stored.filter(|stored| !stored.is_empty() && *stored != journal_identity) {
            let (stored, found) = (stored.to_owned(), journal_identity);
            return Err(Error::JournalReplaced { partition: journal, stored, found });
        }
        let mut partition = Self {
            number,
            journal,
            journal_next_offset: 0,
            meta: Meta::new(signed_partition(number)),
            rows: Rows::sharing(S::SHARED_TABLES, SHARED_ROWS),
            kept_rows: 0,
            store,
            journal_identity,
            flushed_at: opened_at,
            config: None,
            next_due: Timestamp::MIN,
            first_put_since_due: Timestamp::MAX,
        };
        partition.roll_back()?;
        Ok(partition)
    }

    /// The active configuration; none before the first activation.
    pub(crate) fn config(&self) -> Option<&S::Config> {
        self.config.as_ref().map(|(_, config)| config)
    }

    /// True if this configuration is active.
    pub(crate) fn is_active(&self, activation: &ConfigActivation) -> bool {
        self.config.as_ref().is_some_and(|(active, _)| active == activation)
    }

    /// Fetches at once what these commands are known to read. What is found may name more, which is fetched when they
    /// are decided.
    pub(crate) fn prefetch<'a>(
        &mut self,
        commands: impl Iterator<Item = &'a S::Command>,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.fetch_known(|rows, missing| {
            for command in commands {
                S::keys(command, now, rows, missing);
            }
        })
    }

    /// As [`Self::prefetch`], for folding these events during a restore.
    pub(crate) fn prefetch_events<'a>(
        &mut self,
        events: impl Iterator<Item = &'a S::Event>,
    ) -> Result<(), Error> {
        self.fetch_known(|rows, missing| {
            for event in events {
                S::event_keys(event, rows, missing);
            }
        })
    }

    /// Fetches what is known to be missing now.
    fn fetch_known(&mut self, missing: impl FnOnce(&Rows<S::Row>, &mut Vec<StateKey>)) -> Result<(), Error> {
        let mut keys = Vec::new();
        missing(&self.rows, &mut keys);
        Ok(self.store.load(&keys, &mut self.rows)?)
    }

    /// Fetches all that is missing, in stages, until `missing` names nothing.
    fn fetch(&mut self, missing: impl Fn(&Rows<S::Row>, &mut Vec<StateKey>)) -> Result<(), Error> {
        Ok(self.rows.fetch(missing, |keys, rows| self.store.load(keys, rows))?)
    }

    /// Decides a command and folds what it says into the overlay.
    pub(crate) fn decide(&mut self, command: &S::Command, now: Timestamp) -> Result<Vec<S::Event>, Error> {
        self.fetch(|rows, missing| S::keys(command, now, rows, missing))?;
        let (_, config) =
            self.config.as_ref().expect("a configuration is activated before anything is decided");
        #[cfg(feature = "mutations")]
        if crate::mutations::is(crate::mutations::Mutation::OverlayNotConsulted) {
            let rows = self.stored_rows(command, now)?;
            let events = S::decide(&rows, &self.meta, config, command, now);
            events.iter().try_for_each(|event| self.fold(event))?;
            return Ok(events);
        }
        let events = S::decide(&self.rows, &self.meta, config, command, now);
        for event in &events {
            self.fold(event)?;
        }
        Ok(events)
    }

    /// What the store alone holds of what a command reads.
    #[cfg(feature = "mutations")]
    fn stored_rows(&self, command: &S::Command, now: Timestamp) -> Result<Rows<S::Row>, Error> {
        let mut rows = Rows::default();
        rows.fetch(
            |rows, missing| S::keys(command, now, rows, missing),
            |keys, rows| self.store.load(keys, rows),
        )?;
        Ok(rows)
    }

    /// Activates a configuration, unless it is active already: the first thing that a ready partition does.
    pub(crate) fn activate(
        &mut self,
        activation: &ConfigActivation,
        wall: Timestamp,
    ) -> Result<Vec<S::Event>, Error> {
        if self.is_active(activation) {
            return Ok(Vec::new());
        }
        let config = Self::prepare(activation)?;
        let now = S::idle_now(&self.meta, &config, wall);
        let events = S::decide(&self.rows, &self.meta, &config, &S::activate(activation.clone()), now);
        for event in &events {
            self.fold(event)?;
        }
        Ok(events)
    }

    /// Folds an event into the overlay.
    pub(crate) fn fold(&mut self, event: &S::Event) -> Result<(), Error> {
        self.fetch(|rows, missing| S::event_keys(event, rows, missing))?;
        #[cfg(feature = "mutations")]
        if crate::mutations::is(crate::mutations::Mutation::OverlayTwice) {
            let mut meta = self.meta.clone();
            S::evolve(&mut self.rows, &mut meta, event);
            self.fetch(|rows, missing| S::event_keys(event, rows, missing))?;
        }
        S::evolve(&mut self.rows, &mut self.meta, event);
        if let Some(activation) = S::activated(event) {
            self.config = Some((activation.clone(), Self::prepare(activation)?));
        }
        if let Some(due_at) = self.rows.take_first_due_put().and_then(|key| key.due_at()) {
            self.next_due = self.next_due.min(due_at);
            self.first_put_since_due = self.first_put_since_due.min(due_at);
        }
        Ok(())
    }

    /// The next commands whose time has come, in order of time, at most `limit`. Empty: nothing is due.
    pub(crate) fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<S::Command>, Error> {
        if now < self.next_due {
            return Ok(Vec::new());
        }
        self.first_put_since_due = Timestamp::MAX;
        let commands = self.waiting(&StateKey::end_of_due(now), DueCause::Clock, limit)?;
        if commands.is_empty() {
            self.next_due = self.first_due_after(now)?;
        }
        Ok(commands)
    }

    /// True if deciding what [`Self::due`] gave has put a row that is due as well: it may come before the rest.
    pub(crate) fn has_put_due(&self, now: Timestamp) -> bool {
        self.first_put_since_due <= now
    }

    /// The next rows of the due table that finishing a run concerns, whatever their time, at most `limit`.
    pub(crate) fn waiting_to_finish(&mut self, limit: usize) -> Result<Vec<S::Command>, Error> {
        self.waiting(&StateKey::end_of(DUE_TABLE), DueCause::Finish, limit)
    }

    /// Commands for the rows of the due table before `until`, over the store and the overlay.
    fn waiting(&self, until: &StateKey, cause: DueCause, limit: usize) -> Result<Vec<S::Command>, Error> {
        let mut commands = Vec::new();
        // Rows that were handled leave traces that a scan from the table's start would pass again and again.
        let mut from = StateKey::due_from(self.next_due);
        while commands.len() < limit {
            let rows = self.due_rows(&from, until, limit)?;
            let Some((last, _)) = rows.last() else { break };
            from = last.successor();
            for (key, row) in &rows {
                commands.extend(S::due(key, row, cause));
            }
        }
        commands.truncate(limit);
        Ok(commands)
    }

    /// The first rows of the due table in `from..until` as the overlay leaves them, at least one if there is one.
    fn due_rows(
        &self,
        from: &StateKey,
        until: &StateKey,
        limit: usize,
    ) -> Result<Vec<(StateKey, S::Row)>, Error> {
        let changes = self.rows.due_changes();
        // Rows that the overlay removed stand in the store still: fetch so many more.
        let stored = self.store.due(from, until, limit + changes.len())?;
        let mut rows: std::collections::BTreeMap<StateKey, S::Row> = stored.into_iter().collect();
        for (key, is_put) in changes.range(from.clone()..until.clone()) {
            match self.rows.found(key) {
                Some(row) if *is_put => rows.insert(key.clone(), row.clone()),
                _ => rows.remove(key),
            };
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    fn first_due_after(&self, now: Timestamp) -> Result<Timestamp, Error> {
        let from = StateKey::end_of_due(now);
        let until = StateKey::end_of(DUE_TABLE);
        let rows = self.due_rows(&from, &until, 1)?;
        Ok(rows.first().and_then(|(key, _)| key.due_at()).unwrap_or(Timestamp::MAX))
    }

    /// Rows that the open transaction has brought into memory.
    pub(crate) fn cached_rows(&self) -> usize {
        self.rows.len() - self.kept_rows
    }

    /// Catches the store up with the overlay, after its events were committed (I1).
    pub(crate) fn persist(&mut self, journal_next_offset: u64) -> Result<(), Error> {
        self.journal_next_offset = journal_next_offset;
        let progress = Progress {
            fold_version: FOLD_VERSION,
            journal_next_offset,
            journal_topic_identity: self.journal_identity.clone(),
            meta: self.meta.clone(),
        };
        self.store.apply(&self.rows, &progress)?;
        self.rows.stored();
        self.kept_rows = self.rows.len();
        Ok(())
    }

    /// Drops the overlay: the state is that of the store again.
    pub(crate) fn roll_back(&mut self) -> Result<(), Error> {
        #[cfg(feature = "mutations")]
        if crate::mutations::is(crate::mutations::Mutation::OverlayKept) && self.config.is_some() {
            return Ok(());
        }
        self.rows.clear();
        self.kept_rows = 0;
        self.next_due = Timestamp::MIN;
        self.config = None;
        match self.store.progress() {
            Some(progress) => {
                self.journal_next_offset = progress.journal_next_offset;
                self.meta = progress.meta.clone();
            }
            None => {
                self.journal_next_offset = 0;
                self.meta = Meta::new(signed_partition(self.number));
            }
        }
        let config_key = StateKey::config();
        self.store.load(std::slice::from_ref(&config_key), &mut self.rows)?;
        if let Some(activation) = self.rows.get(&config_key).and_then(<S as Stage>::active_config) {
            self.config = Some((activation.clone(), Self::prepare(activation)?));
        }
        self.rows.clear();
        Ok(())
    }

    /// Bounds the tail that a crash leaves to replay, by volume.
    pub(crate) fn flush_beyond(&mut self, max_unflushed_bytes: u64, moment: Instant) -> Result<(), Error> {
        if self.store.unflushed_bytes()? > max_unflushed_bytes {
            self.flush(moment)?;
        }
        Ok(())
    }

    /// Bounds it by time: also for a partition to which little comes.
    pub(crate) fn flush_after(&mut self, interval: Duration, moment: Instant) -> Result<(), Error> {
        if moment.saturating_duration_since(self.flushed_at) >= interval {
            self.flush(moment)?;
        }
        Ok(())
    }

    /// Next offset of the journal that the store does not contain.
    pub(crate) fn stored_next_offset(&self) -> u64 {
        self.store.progress().map_or(0, |progress| progress.journal_next_offset)
    }

    /// A copy of the store's files at its last committed point; none if nothing was ever stored.
    pub(crate) fn checkpoint(&mut self, into: &Path, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        Ok(self.store.checkpoint(into, now)?)
    }

    /// Bytes of the store's files, and bytes that are not flushed.
    pub(crate) fn store_bytes(&self) -> Result<(u64, u64), Error> {
        Ok((self.store.size_bytes()?, self.store.unflushed_bytes()?))
    }

    fn flush(&mut self, moment: Instant) -> Result<(), Error> {
        self.flushed_at = moment;
        if self.store.unflushed_bytes()? > 0 {
            self.store.flush()?;
        }
        Ok(())
    }

    /// Flushes, so that the next start has nothing to replay.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        Ok(self.store.flush()?)
    }

    fn prepare(activation: &ConfigActivation) -> Result<S::Config, Error> {
        S::Config::from_activation(activation).map_err(|source| Error::Config { stage: S::NAME, source })
    }
}
