//! Faults: what they wait for, what they do, and what is known about those that fired. Knows no sockets but the
//! one of a replay.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::flow::locked;
use super::wire::{Reply, RequestHead, correlation_id, read_frame};
use super::{Shared, api, configured};

/// Requests that a fault keeps, at most; later ones fire it and are counted.
const MAX_CAPTURED: usize = 64;
/// How long a replay waits for a connection, and for its reply.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(15);

/// Which requests a fault waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    api_key: i16,
    client_id_prefix: Option<String>,
    transactional_id: Option<String>,
    is_commit: Option<bool>,
}

impl Requests {
    /// Those of a kind, see [`api`].
    pub fn of(api_key: i16) -> Self {
        Self { api_key, client_id_prefix: None, transactional_id: None, is_commit: None }
    }

    /// `EndTxn` requests that commit.
    pub fn commits() -> Self {
        Self { is_commit: Some(true), ..Self::of(api::END_TXN) }
    }

    /// `EndTxn` requests that abort.
    pub fn aborts() -> Self {
        Self { is_commit: Some(false), ..Self::of(api::END_TXN) }
    }

    /// Of these, those of clients whose `client.id` begins so.
    #[must_use]
    pub fn from_client(self, client_id_prefix: impl Into<String>) -> Self {
        Self { client_id_prefix: Some(client_id_prefix.into()), ..self }
    }

    /// Of these, those of this `transactional.id`. Fits `Produce`, `InitProducerId`, `AddPartitionsToTxn`,
    /// `AddOffsetsToTxn`, `TxnOffsetCommit` and `EndTxn`; no other request has one.
    #[must_use]
    pub fn of_transaction(self, transactional_id: impl Into<String>) -> Self {
        Self { transactional_id: Some(transactional_id.into()), ..self }
    }

    fn fits(&self, head: &RequestHead) -> bool {
        let client_id = head.client_id.as_deref().unwrap_or_default();
        let end = head.end.as_ref().map(|end| end.is_commit);
        self.api_key == head.api_key
            && self.client_id_prefix.as_ref().is_none_or(|prefix| client_id.starts_with(prefix.as_str()))
            && (self.transactional_id.is_none() || self.transactional_id == head.transactional_id)
            && (self.is_commit.is_none() || self.is_commit == end)
    }
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Both sides are cut: the client learns at once that something is wrong.
    Cut,
    /// It stays open: the client learns it by its own timeout.
    Keep,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker never sees it.
    LoseRequest(Then),
    /// The broker sees and answers it, the client never gets the answer. Fires when the answer is there, so that
    /// whatever the request asked for has happened by then, or was refused: see [`Captured::reply`].
    LoseReply(Then),
    /// It passes, and a copy is kept for [`Armed::replay`].
    Copy,
    /// It is held for so long, and with it whatever follows on its connection. Fires when it goes on.
    Delay(Duration),
}

/// A request that a fault fired on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Its head.
    pub head: RequestHead,
    /// The whole frame.
    pub request: Vec<u8>,
    /// Of [`Fault::LoseReply`]: what the broker answered.
    pub reply: Option<Reply>,
}

#[derive(Default)]
struct State {
    remaining: u64,
    fired: u64,
    captured: Vec<Captured>,
}

/// A fault that waits for its requests.
pub(super) struct Trap {
    requests: Requests,
    pub(super) fault: Fault,
    state: Mutex<State>,
    changed: Condvar,
}

impl Trap {
    pub(super) fn new(requests: Requests, fault: Fault, times: u64) -> Self {
        let state = Mutex::new(State { remaining: times, ..State::default() });
        Self { requests, fault, state, changed: Condvar::new() }
    }

    pub(super) fn is_armed(&self) -> bool {
        locked(&self.state).remaining > 0
    }

    /// True if the fault is to happen to this request; then it waits for one less.
    pub(super) fn takes(&self, head: &RequestHead) -> bool {
        if !self.requests.fits(head) {
            return false;
        }
        let mut state = locked(&self.state);
        let is_armed = state.remaining > 0;
        state.remaining = state.remaining.saturating_sub(1);
        is_armed
    }

    /// The fault has happened.
    pub(super) fn fired(&self, captured: Captured) {
        let mut state = locked(&self.state);
        state.fired += 1;
        if state.captured.len() < MAX_CAPTURED {
            state.captured.push(captured);
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// A fault that was armed, in the hands of a test. Dropping it leaves the fault armed.
#[must_use = "assert that the fault has fired"]
pub struct Armed {
    trap: Arc<Trap>,
    shared: Arc<Shared>,
}

impl Armed {
    pub(super) fn new(trap: Arc<Trap>, shared: Arc<Shared>) -> Self {
        Self { trap, shared }
    }

    /// How often it has happened.
    pub fn fired(&self) -> u64 {
        locked(&self.trap.state).fired
    }

    /// Waits until it has happened `times` in all; false if it has not after the timeout.
    #[must_use]
    pub fn wait_fired(&self, times: u64, timeout: Duration) -> bool {
        let state = locked(&self.trap.state);
        let waited = self.trap.changed.wait_timeout_while(state, timeout, |state| state.fired < times);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// It happens no more.
    pub fn disarm(&self) {
        locked(&self.trap.state).remaining = 0;
    }

    /// The requests that it happened to, the first 64 of them.
    pub fn captured(&self) -> Vec<Captured> {
        locked(&self.trap.state).captured.clone()
    }

    /// Sends the bytes of the first request that it happened to once more, on a connection of its own, and
    /// returns the broker's answer.
    ///
    /// # Errors
    ///
    /// If it has not fired, or the broker does not answer within 15 seconds.
    pub fn replay(&self) -> io::Result<Reply> {
        let captured = self.captured().into_iter().next();
        let captured =
            captured.ok_or_else(|| io::Error::other("the fault has not fired: nothing to replay"))?;
        let upstream = *locked(&self.shared.upstream);
        let mut stream = configured(TcpStream::connect_timeout(&upstream, REPLAY_TIMEOUT)?)?;
        stream.set_read_timeout(Some(REPLAY_TIMEOUT))?;
        stream.write_all(&captured.request)?;
        let answer = read_frame(&mut stream)?;
        let answer =
            answer.ok_or_else(|| io::Error::other("the broker closed the connection of a replay"))?;
        if correlation_id(&answer) != Some(captured.head.correlation_id) {
            return Err(io::Error::other("the broker answered a replay with another correlation id"));
        }
        Ok(Reply::new(answer, captured.head.api_key, captured.head.api_version))
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::EndTxn;
    use super::*;

    fn end(client_id: &str, transactional_id: &str, is_commit: bool) -> RequestHead {
        let end = EndTxn {
            transactional_id: transactional_id.to_owned(),
            producer_id: 1,
            producer_epoch: 0,
            is_commit,
        };
        RequestHead {
            api_key: api::END_TXN,
            api_version: 3,
            correlation_id: 1,
            client_id: Some(client_id.to_owned()),
            transactional_id: Some(transactional_id.to_owned()),
            end: Some(end),
        }
    }

    #[test]
    fn every_filter_has_to_fit() {
        let commit = end("settle-1", "t-1", true);
        let abort = end("settle-1", "t-1", false);
        // (filter, fits the commit, fits the abort)
        let cases = [
            (Requests::of(api::END_TXN), true, true),
            (Requests::of(api::PRODUCE), false, false),
            (Requests::commits(), true, false),
            (Requests::aborts(), false, true),
            (Requests::commits().from_client("settle"), true, false),
            (Requests::commits().from_client("settle-2"), false, false),
            (Requests::commits().of_transaction("t-1"), true, false),
            (Requests::commits().of_transaction("t-2"), false, false),
            (Requests::aborts().from_client("settle").of_transaction("t-1"), false, true),
        ];
        for (requests, fits_commit, fits_abort) in cases {
            assert_eq!(requests.fits(&commit), fits_commit, "{requests:?}");
            assert_eq!(requests.fits(&abort), fits_abort, "{requests:?}");
        }
        let nameless = RequestHead { client_id: None, ..commit };
        assert!(!Requests::commits().from_client("settle").fits(&nameless));
    }

    #[test]
    fn is_taken_as_often_as_it_was_armed_for() {
        let trap = Trap::new(Requests::commits(), Fault::Copy, 2);
        let heads = [end("c", "t", false), end("c", "t", true), end("c", "t", true), end("c", "t", true)];
        assert_eq!(heads.map(|head| trap.takes(&head)), [false, true, true, false]);
        assert!(!trap.is_armed());
    }
}
