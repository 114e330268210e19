//! Both stages, and the topics between them: requests → AUTHORIZE → approved → SETTLE → results → AUTHORIZE, and
//! requests → AUTHORIZE → rerouted → AUTHORIZE.
//!
//! Nothing moves by itself: a test says when SETTLE and when the way back are served, so that it can try every
//! interleaving.

use std::collections::VecDeque;

use settle_engine::authorize::{self, Authorize, AuthorizeSettings};
use settle_engine::settle::{self, Settle, SettleSettings};
use settle_engine::{Malformed, Output, Payload, Placement};
use settle_types::authorize::{DecisionEvent, Outcome, PaymentApproved, PaymentResult, Reason};
use settle_types::event::SourcePosition;
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, SettlementEvent};
use settle_types::{Timestamp, topic};

use super::harness::{Harness, Shell, Source};

/// The partition of a key, among so many.
pub type Partitioner = fn(&[u8], usize) -> usize;

/// Every key to the first partition.
pub fn first(_key: &[u8], _partitions: usize) -> usize {
    0
}

/// Spreads keys; any function of the key will do.
pub fn spread(key: &[u8], partitions: usize) -> usize {
    key.iter().fold(7, |sum: usize, byte| sum * 31 % 65_521 + usize::from(*byte)) % partitions
}

/// A topic of records that wait to be read.
struct Topic<T> {
    name: &'static str,
    /// By partition: offset of the next record, and the records that wait.
    partitions: Vec<(i64, VecDeque<(SourcePosition, T)>)>,
}

impl<T> Topic<T> {
    fn new(name: &'static str, partitions: usize) -> Self {
        Self { name, partitions: (0..partitions).map(|_| (0, VecDeque::new())).collect() }
    }

    fn position(&mut self, partition: usize) -> SourcePosition {
        let (next_offset, _) = &mut self.partitions[partition];
        let offset = *next_offset;
        *next_offset += 1;
        SourcePosition { topic: self.name.into(), partition: number(partition), offset }
    }

    fn push(&mut self, partition: usize, record: T) {
        let position = self.position(partition);
        self.partitions[partition].1.push_back((position, record));
    }

    fn pop(&mut self) -> Option<(usize, SourcePosition, T)> {
        let waiting = self.partitions.iter().position(|(_, records)| !records.is_empty())?;
        let (position, record) = self.partitions[waiting].1.pop_front()?;
        Some((waiting, position, record))
    }

    fn take(&mut self, is_wanted: impl Fn(&T) -> bool) -> T {
        for (_, records) in &mut self.partitions {
            if let Some(index) = records.iter().position(|(_, record)| is_wanted(record)) {
                return records.remove(index).expect("the index was found").1;
            }
        }
        panic!("{}: no such record waits", self.name)
    }

    fn waiting(&self) -> impl Iterator<Item = &T> {
        self.partitions.iter().flat_map(|(_, records)| records.iter().map(|(_, record)| record))
    }
}

fn number(partition: usize) -> i32 {
    i32::try_from(partition).expect("few partitions")
}

/// A record of `payments.rerouted`.
struct Copy {
    key: Vec<u8>,
    value: Vec<u8>,
    right_partition: i32,
}

/// The two stages, with one partition or several.
pub struct Pipeline {
    pub authorize: Vec<Harness<Authorize>>,
    pub settle: Vec<Harness<Settle>>,
    partitioner: Partitioner,
    requested: Topic<()>,
    approved: Topic<PaymentApproved>,
    results: Topic<PaymentResult>,
    rerouted: Topic<Copy>,
    routed_of_authorize: Vec<usize>,
    routed_of_settle: Vec<usize>,
}

impl Pipeline {
    /// One partition.
    pub fn new(authorize: &AuthorizeSettings, settle: &SettleSettings, wall: Timestamp) -> Self {
        Self::with(authorize, settle, wall, 1, first, Shell::default())
    }

    pub fn with(
        authorize: &AuthorizeSettings,
        settle: &SettleSettings,
        wall: Timestamp,
        partitions: usize,
        partitioner: Partitioner,
        shell: Shell,
    ) -> Self {
        let numbers = 0..number(partitions);
        Self {
            authorize: numbers
                .clone()
                .map(|partition| Harness::new(partition, authorize, wall, shell))
                .collect(),
            settle: numbers.map(|partition| Harness::new(partition, settle, wall, shell)).collect(),
            partitioner,
            requested: Topic::new(topic::REQUESTED, partitions),
            approved: Topic::new(topic::APPROVED, partitions),
            results: Topic::new(topic::RESULTS, partitions),
            rerouted: Topic::new(topic::REROUTED, partitions),
            routed_of_authorize: vec![0; partitions],
            routed_of_settle: vec![0; partitions],
        }
    }

    /// Moves the wall clock.
    pub fn set_wall(&mut self, wall: Timestamp) {
        self.authorize.iter_mut().for_each(|harness| harness.wall = wall);
        self.settle.iter_mut().for_each(|harness| harness.wall = wall);
    }

    /// A request, in the partition of its debtor. Returns the events about it.
    pub fn request(&mut self, requested: &PaymentRequested) -> Vec<DecisionEvent> {
        let partition = self.partition_of(requested.debtor_account.as_str().as_bytes());
        self.request_as(partition, Ok(requested.clone()), number(partition))
    }

    /// A request in the partition of another debtor. One partition has no other: then it belongs to one elsewhere, and
    /// what is sent there comes back.
    pub fn misplaced(&mut self, requested: &PaymentRequested) -> Vec<DecisionEvent> {
        let right_partition = self.partition_of(requested.debtor_account.as_str().as_bytes());
        let found_in = (right_partition + 1) % self.authorize.len();
        let elsewhere = if found_in == right_partition { right_partition + 1 } else { right_partition };
        self.request_as(found_in, Ok(requested.clone()), number(elsewhere))
    }

    /// A request where the sender put it, and the partition where it belongs; or bytes that are none. A sender who has
    /// another partitioner has other keys, too.
    pub fn request_as(
        &mut self,
        partition: usize,
        decoded: Result<PaymentRequested, Malformed>,
        right_partition: i32,
    ) -> Vec<DecisionEvent> {
        let position = self.requested.position(partition);
        let (key, value) = match &decoded {
            Ok(requested) if number(partition) != right_partition => {
                (b"another key".to_vec(), encoded(requested))
            }
            Ok(requested) => (requested.debtor_account.as_str().as_bytes().to_vec(), encoded(requested)),
            Err(_) => (b"some key".to_vec(), b"not a record".to_vec()),
        };
        let source = Source { position: position.clone(), key: Some(key), value: Some(value) };
        let config = &self.authorize[partition].config;
        let command = authorize::Command::request(position, decoded, |_| right_partition, config);
        let events = self.authorize[partition].submit(&command, Some(&source));
        self.route();
        events
    }

    /// Takes an approved record that waits for SETTLE, and answers as if SETTLE had refused it.
    pub fn refuse(&mut self, payment_id: &str, code: &'static str) {
        let approved = self.approved.take(|approved| approved.payment_id.as_str() == payment_id);
        let result = PaymentResult {
            outcome: Outcome::Refused,
            reasons: vec![Reason::new(code, "refused by the test")],
            refused_at: approved.decided_at,
            approved,
        };
        let partition = self.partition_of(result.approved.debtor_account.as_str().as_bytes());
        self.results.push(partition, result);
        while self.result_one().is_some() {}
    }

    /// Bytes in `payments.results` that are no result.
    pub fn undecodable_result(&mut self, value: &[u8], code: &'static str) -> Vec<DecisionEvent> {
        let position = self.results.position(0);
        let source =
            Source { position: position.clone(), key: Some(b"d-1".to_vec()), value: Some(value.to_vec()) };
        let malformed = Malformed { code, detail: "value: not a record".to_owned() };
        let command = authorize::Command::result(position, Err(malformed));
        self.authorize[0].submit(&command, Some(&source))
    }

    /// A record of the test's making in `payments.approved`, or bytes that are none.
    pub fn approved(&mut self, decoded: Result<PaymentApproved, Malformed>) -> SettlementEvent {
        let position = self.approved.position(0);
        let value = decoded.as_ref().map_or(b"not a record".to_vec(), encoded);
        let source = Source { position: position.clone(), key: Some(b"m-1".to_vec()), value: Some(value) };
        let command = settle::Command::approved(position, decoded);
        let mut events = self.settle[0].submit(&command, Some(&source));
        self.route();
        events.remove(0)
    }

    /// SETTLE reads one record of `payments.approved`; none if none waits.
    pub fn settle_one(&mut self) -> Option<SettlementEvent> {
        let (partition, position, approved) = self.approved.pop()?;
        let source = Source {
            position: position.clone(),
            key: Some(approved.merchant_id.as_str().as_bytes().to_vec()),
            value: Some(encoded(&approved)),
        };
        let command = settle::Command::approved(position, Ok(approved));
        let events = self.settle[partition].submit(&command, Some(&source));
        self.route();
        events.into_iter().next()
    }

    /// AUTHORIZE reads one record of `payments.results`; none if none waits.
    pub fn result_one(&mut self) -> Option<Vec<DecisionEvent>> {
        let (partition, position, result) = self.results.pop()?;
        let source = Source {
            position: position.clone(),
            key: Some(result.approved.debtor_account.as_str().as_bytes().to_vec()),
            value: Some(encoded(&result)),
        };
        let command = authorize::Command::result(position, Ok(result));
        let events = self.authorize[partition].submit(&command, Some(&source));
        self.route();
        Some(events)
    }

    /// AUTHORIZE reads one record of `payments.rerouted`; none if none waits.
    pub fn rerouted_one(&mut self) -> Option<Vec<DecisionEvent>> {
        let (partition, position, Copy { key, value, right_partition }) = self.rerouted.pop()?;
        let decoded = serde_json::from_slice(&value).expect("a copy has the bytes of its source");
        let source = Source { position: position.clone(), key: Some(key), value: Some(value) };
        let config = &self.authorize[partition].config;
        let command = authorize::Command::request(position, Ok(decoded), |_| right_partition, config);
        let events = self.authorize[partition].submit(&command, Some(&source));
        self.route();
        Some(events)
    }

    /// Somebody writes a request to a partition of `payments.rerouted`, wherever it belongs.
    pub fn write_rerouted(&mut self, partition: usize, requested: &PaymentRequested, right_partition: i32) {
        let key = requested.debtor_account.as_str().as_bytes().to_vec();
        self.rerouted.push(partition, Copy { key, value: encoded(requested), right_partition });
    }

    pub fn waiting_rerouted(&self) -> usize {
        self.rerouted.waiting().count()
    }

    /// Both stages read until nothing waits.
    pub fn run_until_idle(&mut self) {
        while self.rerouted_one().is_some() || self.settle_one().is_some() || self.result_one().is_some() {}
    }

    /// Closes and pays what is open.
    pub fn finish(&mut self) {
        self.settle.iter_mut().for_each(Harness::finish);
        self.route();
    }

    /// Handles what is due by the wall clock.
    pub fn idle(&mut self) {
        self.authorize.iter_mut().for_each(Harness::idle);
        self.settle.iter_mut().for_each(Harness::idle);
        self.route();
    }

    /// What AUTHORIZE approved and SETTLE has not read.
    pub fn in_flight(&self) -> impl Iterator<Item = &PaymentApproved> {
        self.approved.waiting()
    }

    pub fn waiting_results(&self) -> usize {
        self.results.waiting().count()
    }

    pub fn ledger(&self, partition: usize) -> Vec<&LedgerTransaction> {
        ledger(&self.settle[partition].outputs)
    }

    fn partition_of(&self, key: &[u8]) -> usize {
        (self.partitioner)(key, self.authorize.len())
    }

    /// Moves new outputs to the topics between the stages.
    fn route(&mut self) {
        for partition in 0..self.authorize.len() {
            let from = self.routed_of_authorize[partition];
            let new = self.authorize[partition].outputs[from..].to_vec();
            self.routed_of_authorize[partition] += new.len();
            for output in new {
                self.deliver(output);
            }
            let from = self.routed_of_settle[partition];
            let new = self.settle[partition].outputs[from..].to_vec();
            self.routed_of_settle[partition] += new.len();
            for output in new {
                self.deliver(output);
            }
        }
    }

    fn deliver(&mut self, output: Output) {
        let key = output.key.as_deref().unwrap_or_default();
        let partition = self.partition_of(key);
        match output.payload {
            Payload::Approved(approved) => {
                assert_eq!((output.topic, output.placement), (topic::APPROVED, Placement::ByKey));
                assert_eq!(key, approved.merchant_id.as_str().as_bytes(), "the key is the merchant");
                self.approved.push(partition, approved);
            }
            Payload::Result(result) => {
                assert_eq!((output.topic, output.placement), (topic::RESULTS, Placement::ByKey));
                assert_eq!(key, result.approved.debtor_account.as_str().as_bytes(), "the key is the debtor");
                self.results.push(partition, result);
            }
            Payload::Rerouted { value, .. } => {
                assert_eq!((output.topic, output.placement), (topic::REROUTED, Placement::ByKey));
                let value = value.expect("what was decided has a value");
                let right_partition = number(partition);
                self.rerouted.push(partition, Copy { key: key.to_vec(), value, right_partition });
            }
            Payload::Ledger(_) => assert_eq!(output.placement, Placement::SameAsInput, "I3"),
            Payload::Payout(_) | Payload::DeadLetter { .. } => {}
        }
    }
}

/// The ledger transactions among these outputs.
pub fn ledger(outputs: &[Output]) -> Vec<&LedgerTransaction> {
    let mut found = Vec::new();
    for output in outputs {
        if let Payload::Ledger(transaction) = &output.payload {
            found.push(transaction);
        }
    }
    found
}

/// Stands for the record's bytes.
pub fn encoded(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record becomes JSON")
}
