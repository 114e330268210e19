//! A stage with its state in memory, driven in the order in which the runtime drives it: first what is due at
//! the command's time, then the command; keys, decide, event keys, evolve, project.
//!
//! The store keeps encoded rows, so that each row goes through its encoding. What is due is handled one row at a
//! time: the order of the due table, whatever a handled row puts into it.

use std::collections::BTreeMap;

use settle_engine::stage::{self, ActiveConfig, DueCause};
use settle_engine::state_key::DUE_TABLE;
use settle_engine::{FOLD_VERSION, Input, Meta, Output, Rows, Stage, StateKey, StateRow};
use settle_types::Timestamp;
use settle_types::event::{ConfigActivation, SourcePosition};

/// How the in-memory shell treats its store. None of it may change a journal.
#[derive(Clone, Copy, Debug)]
pub struct Shell {
    /// Commands between two commits: the overlay goes into the store, and is forgotten.
    pub commit_every: usize,
    /// Rows that have expired by the clock of the last commit are gone from the store.
    pub hides_expired: bool,
}

impl Default for Shell {
    fn default() -> Self {
        Self { commit_every: 1, hides_expired: false }
    }
}

/// An input record: what the dead letter copies.
#[derive(Clone, Debug)]
pub struct Source {
    pub position: SourcePosition,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Source {
    fn input(&self) -> Input<'_> {
        Input { position: &self.position, key: self.key.as_deref(), value: self.value.as_deref() }
    }
}

/// A partition of a stage.
pub struct Harness<S: Stage> {
    pub meta: Meta,
    pub config: S::Config,
    /// The wall clock.
    pub wall: Timestamp,
    /// Every event so far, the activation first.
    pub journal: Vec<S::Event>,
    /// Key of each journal record.
    pub journal_keys: Vec<Option<Vec<u8>>>,
    /// Everything that went to other topics, with the time of its event.
    pub outputs: Vec<Output>,
    rows: Rows<S::Row>,
    store: Store,
    shell: Shell,
    commands_since_commit: usize,
}

/// Rows as a store keeps them, and the clock of the last commit.
#[derive(Clone, Debug)]
struct Store {
    values: BTreeMap<StateKey, Vec<u8>>,
    clock: Timestamp,
}

impl<S: Stage> Harness<S> {
    /// A partition that has activated its configuration.
    pub fn new(partition: i32, settings: &impl serde::Serialize, wall: Timestamp, shell: Shell) -> Self {
        let activation = stage::activation(settings);
        let mut harness = Self {
            meta: Meta::new(partition),
            config: prepare::<S>(&activation),
            wall,
            journal: Vec::new(),
            journal_keys: Vec::new(),
            outputs: Vec::new(),
            rows: Rows::sharing(S::SHARED_TABLES, 100),
            store: Store { values: BTreeMap::new(), clock: Timestamp::MIN },
            shell,
            commands_since_commit: 0,
        };
        harness.activate(activation);
        harness
    }

    /// Activates another configuration.
    pub fn reconfigure(&mut self, settings: &impl serde::Serialize) {
        self.activate(stage::activation(settings));
    }

    fn activate(&mut self, activation: ConfigActivation) {
        self.config = prepare::<S>(&activation);
        let now = S::idle_now(&self.meta, &self.config, self.wall);
        self.decide(&S::activate(activation), now, None);
        self.commit();
    }

    /// Decides a command, after what its time sets off. Returns the events that are about the command.
    pub fn submit(&mut self, command: &S::Command, source: Option<&Source>) -> Vec<S::Event> {
        let now = S::now(&self.meta, &self.config, command, self.wall);
        self.tick(now);
        let events = self.decide(command, now, source);
        self.commands_since_commit += 1;
        if self.commands_since_commit >= self.shell.commit_every {
            self.commit();
        }
        events
    }

    /// Handles what is due by the wall clock while nothing arrives.
    pub fn idle(&mut self) {
        let now = S::idle_now(&self.meta, &self.config, self.wall);
        self.tick(now);
        self.commit();
    }

    /// Closes what finishing a run concerns, at the clock as it stands.
    pub fn finish(&mut self) {
        let now = S::idle_now(&self.meta, &self.config, self.wall);
        while let Some(command) = self.first_due(&StateKey::end_of(DUE_TABLE), DueCause::Finish) {
            self.decide(&command, now, None);
        }
        self.commit();
    }

    fn tick(&mut self, now: Timestamp) {
        while let Some(command) = self.first_due(&StateKey::end_of_due(now), DueCause::Clock) {
            self.decide(&command, now, None);
        }
    }

    fn first_due(&self, until: &StateKey, cause: DueCause) -> Option<S::Command> {
        let from = StateKey::start_of(DUE_TABLE);
        let mut rows: BTreeMap<StateKey, S::Row> = BTreeMap::new();
        for (key, value) in self.store.values.range(from.clone()..until.clone()) {
            rows.insert(key.clone(), S::Row::decode(key, value).expect("a stored row decodes"));
        }
        for (key, is_put) in self.rows.due_changes().range(from..until.clone()) {
            match self.rows.found(key) {
                Some(row) if *is_put => rows.insert(key.clone(), row.clone()),
                _ => rows.remove(key),
            };
        }
        rows.iter().find_map(|(key, row)| S::due(key, row, cause))
    }

    fn decide(&mut self, command: &S::Command, now: Timestamp, source: Option<&Source>) -> Vec<S::Event> {
        loop {
            let mut missing = Vec::new();
            S::keys(command, now, &self.rows, &mut missing);
            if missing.is_empty() {
                break;
            }
            self.store.load(missing, &mut self.rows, self.shell);
        }
        let events = S::decide(&self.rows, &self.meta, &self.config, command, now);
        for (index, event) in events.iter().enumerate() {
            fold_one::<S>(&mut self.rows, &mut self.meta, &self.store, self.shell, event);
            let input = source.filter(|_| index == 0).map(Source::input);
            self.journal_keys.push(S::journal_key(event, input.as_ref()));
            self.outputs.extend(S::project(event, input.as_ref()));
            self.journal.push(event.clone());
        }
        events
    }

    /// The overlay goes into the store.
    pub fn commit(&mut self) {
        self.commands_since_commit = 0;
        self.store.apply(&mut self.rows, &self.meta);
    }

    /// Every row as the last command left it.
    pub fn state(&mut self) -> BTreeMap<StateKey, S::Row> {
        self.commit();
        self.store.decoded::<S::Row>()
    }

    /// As [`Self::state`], without rows that have expired: they count as absent.
    pub fn live_state(&mut self) -> BTreeMap<StateKey, S::Row> {
        let now = self.meta.now;
        let mut rows = self.state();
        rows.retain(|_, row| row.expires_at() > now);
        rows
    }

    /// The journal as bytes, one JSON document a line.
    pub fn journal_bytes(&self) -> Vec<u8>
    where
        S::Event: serde::Serialize,
    {
        let mut bytes = Vec::new();
        for event in &self.journal {
            serde_json::to_writer(&mut bytes, event).expect("an event becomes JSON");
            bytes.push(b'\n');
        }
        bytes
    }
}

/// The state that a journal folds to: from nothing, with a restart (everything through the store) before the
/// event `restart_before`.
pub fn fold<S: Stage>(
    partition: i32,
    journal: &[S::Event],
    restart_before: usize,
) -> (BTreeMap<StateKey, S::Row>, Meta) {
    let mut rows = Rows::default();
    let mut meta = Meta::new(partition);
    let mut store = Store { values: BTreeMap::new(), clock: Timestamp::MIN };
    for (index, event) in journal.iter().enumerate() {
        assert!(S::envelope(event).min_fold_version <= FOLD_VERSION, "this build understands its own events");
        if index == restart_before {
            store.apply(&mut rows, &meta);
            let encoded = serde_json::to_string(&meta).expect("the meta row becomes JSON");
            meta = serde_json::from_str(&encoded).expect("and comes back");
        }
        fold_one::<S>(&mut rows, &mut meta, &store, Shell::default(), event);
    }
    store.apply(&mut rows, &meta);
    (store.decoded::<S::Row>(), meta)
}

fn fold_one<S: Stage>(
    rows: &mut Rows<S::Row>,
    meta: &mut Meta,
    store: &Store,
    shell: Shell,
    event: &S::Event,
) {
    loop {
        let mut missing = Vec::new();
        S::event_keys(event, rows, &mut missing);
        if missing.is_empty() {
            break;
        }
        store.load(missing, rows, shell);
    }
    S::evolve(rows, meta, event);
}

fn prepare<S: Stage>(activation: &ConfigActivation) -> S::Config {
    S::Config::from_activation(activation).expect("the configuration of a test is valid")
}

impl Store {
    fn load<R: StateRow>(&self, keys: Vec<StateKey>, rows: &mut Rows<R>, shell: Shell) {
        for key in keys {
            let row =
                self.values.get(&key).map(|value| R::decode(&key, value).expect("a stored row decodes"));
            let is_gone = |row: &R| shell.hides_expired && row.expires_at() <= self.clock;
            let row = row.filter(|row| !is_gone(row));
            rows.fetched(key, row);
        }
    }

    fn apply<R: StateRow>(&mut self, rows: &mut Rows<R>, meta: &Meta) {
        for (key, row) in rows.changes() {
            match row {
                Some(row) => {
                    let mut value = Vec::new();
                    row.encode(&mut value);
                    self.values.insert(key.clone(), value);
                }
                None => {
                    self.values.remove(key);
                }
            }
        }
        self.clock = meta.now;
        rows.stored();
    }

    fn decoded<R: StateRow>(&self) -> BTreeMap<StateKey, R> {
        let decode = |(key, value): (&StateKey, &Vec<u8>)| {
            (key.clone(), R::decode(key, value).expect("a stored row decodes"))
        };
        self.values.iter().map(decode).collect()
    }
}
