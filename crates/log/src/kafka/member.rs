//! The client of a group member, and how it goes away.

use std::ops::Deref;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::events::MemberEvents;
use crate::error::Error;

/// Longest wait for a member to leave in good order. The group waits for one that did not for its session timeout.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that is a member of a group. It leaves when it is dropped, or, if it is a static member, it is silent then.
///
/// Its end is waited for, but not without end: librdkafka (2.12) drops an answer to a rebalance without a reply when the
/// group's part of the client has ended already (`rd_kafka_cgrp_op_serve`), and whoever gave it waits forever. That
/// happens if an assignment comes at the moment of the end.
pub(super) struct Member {
    /// None only while it is dropped.
    client: Option<BaseConsumer<MemberEvents>>,
}

impl Member {
    pub(super) fn new(config: &ClientConfig, events: MemberEvents) -> Result<Self, Error> {
        let client = BaseConsumer::from_config_and_context(config, events)
            .map_err(|error| Error::ClientSettings { what: error.to_string() })?;
        Ok(Self { client: Some(client) })
    }
}

impl Deref for Member {
    type Target = BaseConsumer<MemberEvents>;

    fn deref(&self) -> &Self::Target {
        self.client.as_ref().expect("a member has a client until it is dropped")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        client.context().close();
        let (ended, is_ended) = channel();
        let closing = thread::Builder::new().name("settle-leaves".to_owned()).spawn(move || {
            drop(client);
            // Nobody listens any more if it took too long.
            let _ = ended.send(());
        });
        // Without a thread, the client was dropped here and now.
        if let Ok(Err(RecvTimeoutError::Timeout)) = closing.map(|_| is_ended.recv_timeout(CLOSE_TIMEOUT)) {
            tracing::debug!("a member did not end in time: its group waits for the session timeout");
        }
    }
}
