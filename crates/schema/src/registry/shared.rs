//! The schemas that a process knows from its registry, and the thread that fetches those it does not.
//!
//! Owns what happens while the registry is down: known ids go on, a new one is pending until the registry says
//! what it is. Workers ask here only for ids that they have not met, and never wait for the network.

use std::collections::{BTreeMap, VecDeque};
use std::panic::catch_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::api::{self, Rounds};
use super::error::Error;
use super::http::Http;
use super::registered::RegisteredSchema;

/// Ids that are asked for at the same time, at most. More stay pending and are taken up later.
const MAX_PENDING: usize = 1_000;

/// Ids that are remembered as unknown, at most.
const MAX_UNKNOWN: usize = 10_000;

/// What is known of an id.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The registry has it.
    Known(Arc<RegisteredSchema>),
    /// Not known yet: the registry is being asked, or cannot be reached. Try again later.
    Pending,
    /// The registry says that there is no such id.
    Unknown,
}

/// The state of a registry's client, for metrics and for a page on its health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryStatus {
    /// Requests since the start.
    pub requests: u64,
    /// Requests since the start that got no usable answer.
    pub failures: u64,
    /// Schemas in memory.
    pub known_schemas: usize,
    /// Ids that wait for an answer.
    pub pending_ids: usize,
    /// Ids that the registry does not have.
    pub unknown_ids: usize,
    /// Failed attempts to fetch a pending id, in a row. Zero while the registry answers.
    pub failures_in_a_row: u32,
    /// The last failure's code and message, while requests fail.
    pub failure: Option<(&'static str, String)>,
}

/// What the handles of a registry and its thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) http: Http,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<u32, Arc<RegisteredSchema>>,
    /// Ids of `known` that may be dropped for newer ones, oldest first. Those that are written with may not.
    droppable: VecDeque<u32>,
    /// Until when an id counts as unknown.
    unknown: BTreeMap<u32, Instant>,
    pending: BTreeMap<u32, Pending>,
    failures_in_a_row: u32,
    failure: Option<(&'static str, String)>,
    /// No request before: the pause after a failure.
    quiet_until: Option<Instant>,
    is_stopping: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    not_found: u32,
    failures: u32,
    due: Instant,
}

impl Shared {
    pub(super) fn new(http: Http) -> Self {
        Self { http, state: Mutex::default(), changed: Condvar::new() }
    }

    /// What is known of an id. One that is not is asked for.
    pub(super) fn lookup(&self, id: u32) -> Lookup {
        let now = now();
        let mut state = self.lock();
        if let Some(schema) = state.known.get(&id) {
            return Lookup::Known(Arc::clone(schema));
        }
        if let Some(until) = state.unknown.get(&id) {
            if now < *until {
                return Lookup::Unknown;
            }
            state.unknown.remove(&id);
        }
        let has_room = state.pending.len() < MAX_PENDING;
        if has_room && !state.pending.contains_key(&id) {
            state.pending.insert(id, Pending { not_found: 0, failures: 0, due: now });
            self.changed.notify_one();
        }
        Lookup::Pending
    }

    /// Keeps a schema that was fetched for another reason. Returns the one that is kept.
    pub(super) fn keep(&self, schema: RegisteredSchema) -> Arc<RegisteredSchema> {
        self.lock().keep(Arc::new(schema), self.http.options().cached_schemas)
    }

    /// Keeps a schema that the process writes with, as long as it runs.
    pub(super) fn pin(&self, schema: RegisteredSchema) {
        let id = schema.id();
        let mut state = self.lock();
        state.known.insert(id, Arc::new(schema));
        state.droppable.retain(|droppable| *droppable != id);
        state.pending.remove(&id);
        state.unknown.remove(&id);
    }

    /// Asks for an id and waits for the answer, in as many rounds as the options say.
    pub(super) fn fetch(&self, id: u32) -> Result<Option<Arc<RegisteredSchema>>, Error> {
        if let Some(schema) = self.lock().known.get(&id) {
            return Ok(Some(Arc::clone(schema)));
        }
        let found = api::schema_by_id(&self.http, id, Rounds::All)?;
        Ok(found.map(|schema| self.keep(compile(id, &schema))))
    }

    pub(super) fn status(&self) -> RegistryStatus {
        let (requests, failures) = self.http.counts();
        let state = self.lock();
        RegistryStatus {
            requests,
            failures,
            known_schemas: state.known.len(),
            pending_ids: state.pending.len(),
            unknown_ids: state.unknown.len(),
            failures_in_a_row: state.failures_in_a_row,
            failure: state.failure.clone(),
        }
    }

    /// Ends the thread, at the latest when its present request ends.
    pub(super) fn stop(&self) {
        self.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// The thread: fetches what is pending, until told to stop.
    pub(super) fn run(&self) {
        while let Some(id) = self.next_due() {
            let answer = api::schema_by_id(&self.http, id, Rounds::One);
            let schema = match answer {
                // Compiling takes a while: not under the lock.
                Ok(found) => Ok(found.map(|schema| compile(id, &schema))),
                Err(error) => Err(error),
            };
            self.settle(id, schema);
        }
    }

    /// Waits until an id is due; none when told to stop.
    fn next_due(&self) -> Option<u32> {
        let mut state = self.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            let now = now();
            let next = state.pending.iter().min_by_key(|(_, pending)| pending.due);
            let Some((id, due)) = next.map(|(id, pending)| (*id, pending.due)) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let due = state.quiet_until.map_or(due, |quiet| due.max(quiet));
            if due <= now {
                return Some(id);
            }
            let waited = self.changed.wait_timeout(state, due - now);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes what came of a request.
    fn settle(&self, id: u32, answer: Result<Option<RegisteredSchema>, Error>) {
        let options = self.http.options();
        let now = now();
        let mut state = self.lock();
        let error = match answer {
            Ok(found) => {
                if state.failures_in_a_row > 0 {
                    tracing::info!(failures = state.failures_in_a_row, "the schema registry answers again");
                }
                (state.failures_in_a_row, state.failure, state.quiet_until) = (0, None, None);
                match found {
                    Some(schema) => {
                        if let Some(defect) = schema.defect() {
                            tracing::warn!(id, defect, "a schema of the registry cannot be used");
                        }
                        let _ = state.keep(Arc::new(schema), options.cached_schemas);
                    }
                    None => state.not_found(id, options, now),
                }
                return;
            }
            Err(error) => error,
        };
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.failure = Some((error.code(), error.to_string()));
        // An answer that makes no sense is about this id; that none comes is about all of them.
        let is_about_the_id = matches!(error, Error::Malformed { .. } | Error::Refused { .. });
        let mut pause = options.backoff(state.failures_in_a_row);
        if let Some(pending) = state.pending.get_mut(&id) {
            pending.failures = pending.failures.saturating_add(1);
            if is_about_the_id {
                pause = options.backoff(pending.failures);
            }
            pending.due = now + pause;
        }
        if !is_about_the_id {
            state.quiet_until = Some(now + pause);
        }
        let failures = state.failures_in_a_row;
        let pending = state.pending.len();
        drop(state);
        let code = error.code();
        tracing::warn!(code, %error, id, failures, pending, ?pause, "a schema could not be fetched");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No call under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, schema: Arc<RegisteredSchema>, capacity: usize) -> Arc<RegisteredSchema> {
        let id = schema.id();
        self.pending.remove(&id);
        self.unknown.remove(&id);
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        if self.droppable.len() >= capacity
            && let Some(oldest) = self.droppable.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(id, Arc::clone(&schema));
        self.droppable.push_back(id);
        schema
    }

    fn not_found(&mut self, id: u32, options: &super::options::RegistryOptions, now: Instant) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.not_found += 1;
        if pending.not_found < options.unknown_confirmations {
            pending.due = now + options.backoff(pending.not_found);
            return;
        }
        self.pending.remove(&id);
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.retain(|_, until| now < *until);
        }
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.pop_first();
        }
        self.unknown.insert(id, now + Duration::from_millis(options.unknown_ttl_ms));
    }
}

/// Makes a registry's schema ready for reading.
pub(super) fn compile(id: u32, schema: &api::Schema) -> RegisteredSchema {
    if let Some(defect) = schema.defect() {
        return RegisteredSchema::unusable(id, defect);
    }
    // Anybody's text goes through two parsers that are not ours: a panic of theirs must not end the thread, and
    // leave every new id pending without a word.
    catch_unwind(|| RegisteredSchema::new(id, &schema.schema))
        .unwrap_or_else(|_| RegisteredSchema::unusable(id, "it makes the parser of schemas fail"))
}

#[expect(clippy::disallowed_methods, reason = "measures pauses between requests; no decision sees it")]
fn now() -> Instant {
    Instant::now()
}
