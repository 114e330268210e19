//! The cluster: topics, groups, transactions, and everything that is under way between them, on a virtual clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::chance::Chance;
use super::coordinator::{Participant, Refusal, State, Transactional};
use super::group::{Delays, Follow, Group, News, OffsetRefusal};
use super::options::{NetworkFault, SimulatedOptions};
use super::partition::{Content, Fate, Partition, ProducerId, index};
use crate::consumer::GroupMetadata;
use crate::error::Error;
use crate::record::{Record, TopicName, TopicPartition};

/// A transaction at the moment at which its commit was decided; markers are still to come.
#[derive(Debug, Clone)]
pub struct CommittedTransaction {
    /// Who committed it.
    pub transactional_id: String,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
    /// Its records, by partition and offset.
    pub records: Vec<Record>,
    /// Positions that it publishes.
    pub next_offsets: BTreeMap<TopicPartition, u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Marker { id: String, participant: Participant, producer: ProducerId, epoch: u32, is_commit: bool },
    LateEnd { id: String, epoch: u32, serial: u64, is_commit: bool },
    LateAdd { id: String, epoch: u32, participant: Participant },
    LateOffsets { id: String, epoch: u32, offsets: Offsets },
    TransactionTimeout { id: String, serial: u64 },
    RoundDeadline { group: String, round: u64 },
    SessionEnd { group: String, member_id: String, handle: u64, silence: u64 },
}

/// Positions on their way to the group.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    pub(super) group: GroupMetadata,
    pub(super) identity: String,
    pub(super) next_offsets: BTreeMap<TopicPartition, u64>,
}

/// Why positions were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetsError {
    Transaction(Refusal),
    Group(OffsetRefusal),
}

/// A process as the cluster sees it.
#[derive(Debug, Default)]
struct Presence {
    is_silent: bool,
    /// Counts the times it fell silent.
    silences: u64,
    is_dead: bool,
    /// Members that it had, also those that its groups forgot.
    member_ids: BTreeSet<String>,
}

pub(super) struct Cluster {
    pub(super) options: SimulatedOptions,
    pub(super) chance: Chance,
    pub(super) now_ms: u64,
    topics: BTreeMap<TopicName, Vec<Partition>>,
    groups: BTreeMap<String, Group>,
    transactional: BTreeMap<String, Transactional>,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    presences: BTreeMap<u64, Presence>,
    armed: Vec<(NetworkFault, Option<u64>)>,
    pub(super) fired: BTreeMap<NetworkFault, u64>,
    /// What happened, and how often.
    pub(super) transitions: BTreeMap<&'static str, u64>,
    pub(super) committed: VecDeque<CommittedTransaction>,
}

impl Cluster {
    pub(super) fn new(options: SimulatedOptions) -> Self {
        let chance = Chance::new(options.seed, 1);
        Self {
            options,
            chance,
            now_ms: 0,
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactional: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            presences: BTreeMap::new(),
            armed: Vec::new(),
            fired: BTreeMap::new(),
            transitions: BTreeMap::new(),
            committed: VecDeque::new(),
        }
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.transitions.entry(what).or_default() += 1;
    }

    // Time.

    pub(super) fn schedule(&mut self, in_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now_ms + in_ms, self.next_event), event);
    }

    pub(super) fn next_event_ms(&self) -> Option<u64> {
        self.events.keys().next().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn advance_to(&mut self, until_ms: u64) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until_ms {
                break;
            }
            self.now_ms = self.now_ms.max(entry.key().0);
            let event = entry.remove();
            self.happen(event);
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Marker { id, participant, producer, epoch, is_commit } => {
                self.mark(&id, &participant, producer, epoch, is_commit);
            }
            Event::LateEnd { id, epoch, serial, is_commit } => {
                let is_own = self.serial(&id) == serial;
                let outcome = self.end(&id, epoch, is_commit);
                self.note(match outcome {
                    Ok(true) if is_own => "late end ended its own transaction",
                    Ok(true) => "late end ended another transaction",
                    Ok(false) => "late end found its transaction ended",
                    Err(Refusal::Fenced) => "late end was fenced",
                    Err(_) => "late end was refused",
                });
            }
            Event::LateAdd { id, epoch, participant } => {
                let outcome = self.add(&id, epoch, participant);
                self.note(match outcome {
                    Ok(true) => "late partition opened a transaction",
                    Ok(false) => "late partition joined a transaction",
                    Err(Refusal::Fenced) => "late partition was fenced",
                    Err(_) => "late partition was refused",
                });
            }
            Event::LateOffsets { id, epoch, offsets } => {
                let outcome = self.publish(&id, epoch, &offsets);
                self.note(match outcome {
                    Ok(()) => "late positions joined a transaction",
                    Err(_) => "late positions were refused",
                });
            }
            Event::TransactionTimeout { id, serial } => {
                let Some(transactional) = self.transactional.get_mut(&id) else { return };
                if transactional.state == State::Ongoing && transactional.serial == serial {
                    transactional.epoch += 1;
                    transactional.prepare(false);
                    self.note("a transaction ran out of time");
                    self.send_markers(&id);
                }
            }
            Event::RoundDeadline { group, round } => {
                if self.with_group(&group, |group, delays| group.end_round(round, delays)) == Some(true) {
                    self.note("a round went on without a member");
                }
            }
            Event::SessionEnd { group, member_id, handle, silence } => {
                let presence = self.presences.entry(handle).or_default();
                if presence.is_silent && presence.silences == silence {
                    self.remove_member(&group, &member_id, "a session ended");
                }
            }
        }
    }

    // Faults.

    pub(super) fn arm(&mut self, fault: NetworkFault, handle: Option<u64>) {
        match fault {
            NetworkFault::Rebalance => self.rebalance_one(),
            NetworkFault::MemberLost => self.lose_one(),
            _ => self.armed.push((fault, handle)),
        }
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Takes an armed fault that fits here.
    pub(super) fn fires(&mut self, fault: NetworkFault, handle: u64) -> bool {
        let fits = |armed: &(NetworkFault, Option<u64>)| {
            armed.0 == fault && armed.1.is_none_or(|wanted| wanted == handle)
        };
        let Some(found) = self.armed.iter().position(fits) else { return false };
        self.armed.remove(found);
        *self.fired.entry(fault).or_default() += 1;
        tracing::debug!(now_ms = self.now_ms, handle, ?fault, "a fault");
        true
    }

    fn rebalance_one(&mut self) {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        let Some(name) = self.chance.pick(&names).cloned() else { return };
        if self.with_group(&name, Group::rebalance) == Some(Follow::RoundBegan) {
            *self.fired.entry(NetworkFault::Rebalance).or_default() += 1;
            self.round_began(&name);
        }
    }

    fn lose_one(&mut self) {
        let members: Vec<(String, String)> = self
            .groups
            .iter()
            .flat_map(|(name, group)| group.ids().into_iter().map(move |id| (name.clone(), id)))
            .collect();
        let Some((group, member_id)) = self.chance.pick(&members).cloned() else { return };
        *self.fired.entry(NetworkFault::MemberLost).or_default() += 1;
        self.remove_member(&group, &member_id, "a living member was taken out");
    }

    // Topics.

    pub(super) fn topics(&self) -> &BTreeMap<TopicName, Vec<Partition>> {
        &self.topics
    }

    pub(super) fn create_topic(&mut self, name: &str, partitions: u32) {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.insert(name.into(), partitions);
    }

    pub(super) fn partition_count(&self, topic: &str) -> Result<u32, Error> {
        let partitions = self.topics.get(topic);
        let partitions = partitions.ok_or_else(|| Error::UnknownTopic { topic: topic.to_owned() })?;
        Ok(u32::try_from(partitions.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn partition(&self, place: &TopicPartition) -> Result<&Partition, Error> {
        let partitions = self.partition_count(&place.topic)?;
        let found = self.topics.get(&place.topic).and_then(|all| all.get(index(u64::from(place.partition))));
        found.ok_or_else(|| Error::PartitionOutOfRange { partition: place.clone(), partitions })
    }

    pub(super) fn partition_mut(&mut self, place: &TopicPartition) -> Result<&mut Partition, Error> {
        let partitions = self.partition_count(&place.topic)?;
        let found =
            self.topics.get_mut(&place.topic).and_then(|all| all.get_mut(index(u64::from(place.partition))));
        found.ok_or_else(|| Error::PartitionOutOfRange { partition: place.clone(), partitions })
    }

    /// The record at an offset, whatever became of it.
    pub(super) fn record(&self, place: &TopicPartition, offset: u64) -> Option<Record> {
        let entry = self.partition(place).ok()?.entries.get(index(offset))?;
        Some(Record {
            topic: place.topic.clone(),
            partition: place.partition,
            offset,
            timestamp_ms: entry.content.timestamp_ms,
            key: entry.content.key.clone(),
            value: entry.content.value.clone(),
            headers: entry.content.headers.clone(),
        })
    }

    /// Committed records from an offset on, at most so many, and where reading goes on.
    pub(super) fn read(
        &self,
        place: &TopicPartition,
        from_offset: u64,
        limit: usize,
        reads_uncommitted: bool,
    ) -> Result<(Vec<Record>, u64), Error> {
        let partition = self.partition(place)?;
        let end = if reads_uncommitted { partition.end() } else { partition.stable_end() };
        let mut records = Vec::new();
        let mut next_offset = from_offset;
        while next_offset < end && records.len() < limit {
            let fate = partition.entries[index(next_offset)].fate;
            let is_read = fate == Fate::Committed || reads_uncommitted && fate != Fate::Control;
            if is_read {
                records.extend(self.record(place, next_offset));
            }
            next_offset += 1;
        }
        // What stands behind the last record and is never seen is passed over.
        while next_offset < end
            && matches!(partition.entries[index(next_offset)].fate, Fate::Control | Fate::Aborted)
        {
            next_offset += 1;
        }
        Ok((records, next_offset))
    }

    // Transactions.

    pub(super) fn init(&mut self, id: &str) -> Result<(ProducerId, u32), Refusal> {
        let producer = u64::try_from(self.transactional.len()).unwrap_or(u64::MAX) + 1;
        let transactional =
            self.transactional.entry(id.to_owned()).or_insert_with(|| Transactional::new(producer));
        let producer = transactional.producer;
        let taken = transactional.init();
        tracing::debug!(now_ms = self.now_ms, id, ?taken, "a producer takes over");
        match taken {
            Ok(epoch) => Ok((producer, epoch)),
            Err((refusal, is_aborting)) => {
                if is_aborting {
                    self.note("a new producer aborted what the old one left open");
                    self.send_markers(id);
                }
                Err(refusal)
            }
        }
    }

    pub(super) fn add(&mut self, id: &str, epoch: u32, participant: Participant) -> Result<bool, Refusal> {
        let Some(transactional) = self.transactional.get_mut(id) else { return Err(Refusal::InvalidState) };
        let begins = transactional.add(epoch, participant)?;
        if begins {
            let serial = transactional.serial;
            let scan_ms = self.chance.between(0, self.options.timeout_scan_ms);
            let in_ms = self.options.transaction_timeout_ms + scan_ms;
            self.schedule(in_ms, Event::TransactionTimeout { id: id.to_owned(), serial });
        }
        Ok(begins)
    }

    pub(super) fn append(
        &mut self,
        id: &str,
        epoch: u32,
        place: &TopicPartition,
        content: Content,
    ) -> Result<u64, Refusal> {
        let Some(transactional) = self.transactional.get(id) else { return Err(Refusal::InvalidState) };
        transactional.verify(epoch, &Participant::Records(place.clone()))?;
        let producer = transactional.producer;
        let partition = self.partition_mut(place).map_err(|_| Refusal::InvalidState)?;
        let appended = partition.append_open(producer, epoch, content).ok_or(Refusal::Fenced);
        tracing::trace!(now_ms = self.now_ms, id, epoch, %place, ?appended, "a record");
        appended
    }

    pub(super) fn end(&mut self, id: &str, epoch: u32, is_commit: bool) -> Result<bool, Refusal> {
        let now_ms = self.now_ms;
        let Some(transactional) = self.transactional.get_mut(id) else { return Err(Refusal::InvalidState) };
        let ended = transactional.end(epoch, is_commit);
        tracing::debug!(now_ms, id, epoch, is_commit, ?ended, "end of a transaction");
        let ends = ended?;
        if ends {
            if is_commit {
                self.note("a transaction was committed");
                self.collect(id);
            } else {
                self.note("a transaction was aborted");
            }
            self.send_markers(id);
        }
        Ok(ends)
    }

    /// Number of the id's present transaction.
    pub(super) fn serial(&self, id: &str) -> u64 {
        self.transactional.get(id).map_or(0, |found| found.serial)
    }

    /// What the transaction that is being committed holds.
    fn collect(&mut self, id: &str) {
        let Some(transactional) = self.transactional.get(id) else { return };
        let producer = transactional.producer;
        let mut transaction = CommittedTransaction {
            transactional_id: id.to_owned(),
            at_ms: self.now_ms,
            records: Vec::new(),
            next_offsets: BTreeMap::new(),
        };
        for participant in &transactional.participants {
            match participant {
                Participant::Records(place) => {
                    let offsets =
                        self.partition(place).map(|found| found.open_offsets(producer)).unwrap_or_default();
                    transaction.records.extend(offsets.into_iter().filter_map(|at| self.record(place, at)));
                }
                Participant::Offsets(name) => {
                    let pending = self.groups.get(name).and_then(|group| group.pending.get(&producer));
                    transaction.next_offsets.extend(pending.cloned().unwrap_or_default());
                }
            }
        }
        self.committed.push_back(transaction);
    }

    /// The markers of a decided transaction go out, each on its own way.
    fn send_markers(&mut self, id: &str) {
        let Some(transactional) = self.transactional.get(id) else { return };
        let State::Prepared { is_commit } = transactional.state else { return };
        let (producer, epoch) = (transactional.producer, transactional.epoch);
        let is_late = !self.armed.is_empty() && self.fires(NetworkFault::MarkersLate, u64::MAX);
        for participant in self.transactional[id].unmarked.clone() {
            let mut in_ms = self.chance.between(0, self.options.marker_ms);
            if is_late && self.chance.one_in(2) {
                in_ms += self.chance.between(100, 4_000);
            }
            let id = id.to_owned();
            self.schedule(in_ms, Event::Marker { id, participant, producer, epoch, is_commit });
        }
    }

    fn mark(
        &mut self,
        id: &str,
        participant: &Participant,
        producer: ProducerId,
        epoch: u32,
        is_commit: bool,
    ) {
        tracing::debug!(now_ms = self.now_ms, id, epoch, is_commit, ?participant, "a marker");
        match participant {
            Participant::Records(place) => {
                if let Ok(partition) = self.partition_mut(place) {
                    partition.mark(producer, epoch, is_commit);
                }
            }
            Participant::Offsets(name) => {
                if let Some(group) = self.groups.get_mut(name) {
                    group.mark(producer, is_commit);
                }
            }
        }
        if let Some(transactional) = self.transactional.get_mut(id) {
            transactional.marked(participant);
        }
    }

    /// Whether nothing is open, and no marker is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.transactional.values().all(|id| !matches!(id.state, State::Ongoing | State::Prepared { .. }))
    }

    // Groups.

    pub(super) fn publish(&mut self, id: &str, epoch: u32, offsets: &Offsets) -> Result<(), OffsetsError> {
        let Some(transactional) = self.transactional.get(id) else {
            return Err(OffsetsError::Transaction(Refusal::InvalidState));
        };
        let name = &offsets.group.group;
        transactional
            .verify(epoch, &Participant::Offsets(name.clone()))
            .map_err(OffsetsError::Transaction)?;
        let producer = transactional.producer;
        let Some(group) = self.groups.get_mut(name) else {
            return Err(OffsetsError::Group(OffsetRefusal::UnknownMember));
        };
        let checked = group.check(offsets.group.generation, &offsets.group.member_id, &offsets.identity);
        tracing::debug!(now_ms = self.now_ms, id, epoch, ?checked, group = ?offsets.group, next = ?offsets.next_offsets, "positions");
        if let Err(refusal) = checked {
            self.note(match refusal {
                OffsetRefusal::IllegalGeneration => "positions of an older generation were refused",
                OffsetRefusal::UnknownMember => "positions of a forgotten member were refused",
                OffsetRefusal::Replaced => "positions of a replaced member were refused",
            });
            return Err(OffsetsError::Group(refusal));
        }
        group.pending.entry(producer).or_default().extend(offsets.next_offsets.clone());
        Ok(())
    }

    pub(super) fn group_offsets(
        &mut self,
        name: &str,
        partitions: &[TopicPartition],
        takes_unstable: bool,
    ) -> Option<BTreeMap<TopicPartition, u64>> {
        let group = self.groups.get(name)?;
        let found = group.stable_offsets(partitions, takes_unstable);
        if found.is_none() {
            self.note("positions were not stable");
        }
        found
    }

    /// Generation and id of one of a group's members.
    pub(super) fn any_member(&self, name: &str) -> Option<(i32, String)> {
        self.groups.get(name)?.any_member()
    }

    pub(super) fn join(
        &mut self,
        name: &str,
        partitions: u32,
        identity: &str,
        known_id: Option<&str>,
        handle: u64,
        owned: &BTreeSet<u32>,
    ) -> Option<String> {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group::new(partitions));
        let joined = self
            .with_group(name, |group, delays| group.join(identity, known_id, handle, owned, delays))
            .expect("the group was made above");
        let (id, follow) = joined;
        tracing::debug!(
            now_ms = self.now_ms,
            name,
            handle,
            identity,
            ?known_id,
            id,
            ?owned,
            ?follow,
            "joins"
        );
        self.presences.entry(handle).or_default().member_ids.extend(id.clone());
        if follow == Follow::RoundBegan {
            self.round_began(name);
        }
        id
    }

    pub(super) fn news(
        &mut self,
        name: &str,
        identity: &str,
        member_id: &str,
        generation: i32,
    ) -> Option<News> {
        let now_ms = self.now_ms;
        let news = self.groups.get_mut(name)?.news(identity, member_id, generation, now_ms)?;
        tracing::debug!(now_ms, name, identity, member_id, generation, ?news, "news");
        self.note(match news {
            News::Rejoin { .. } => "a member was asked to join again",
            News::Assigned { .. } => "a member got its assignment",
            News::Lost => "a member learned that it was taken out",
            News::Replaced => "a member learned that it was replaced",
        });
        Some(news)
    }

    fn with_group<T>(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Group, &mut Delays<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let heartbeat_ms = self.options.heartbeat_ms;
        let mut delays = Delays { chance: &mut self.chance, now_ms: self.now_ms, heartbeat_ms };
        Some(change(group, &mut delays))
    }

    fn round_began(&mut self, name: &str) {
        let Some(round) = self.groups.get(name).and_then(|group| group.round) else { return };
        let in_ms = self.options.rebalance_timeout_ms;
        self.schedule(in_ms, Event::RoundDeadline { group: name.to_owned(), round });
    }

    fn remove_member(&mut self, group: &str, member_id: &str, what: &'static str) {
        let removed = self.with_group(group, |group, delays| group.remove(member_id, delays)).flatten();
        let Some(follow) = removed else { return };
        tracing::debug!(now_ms = self.now_ms, group, member_id, what);
        self.note(what);
        if follow == Follow::RoundBegan {
            self.round_began(group);
        }
    }

    // Processes.

    pub(super) fn is_dead(&self, handle: u64) -> bool {
        self.presences.get(&handle).is_some_and(|presence| presence.is_dead)
    }

    /// The process does nothing more for a while, or for ever: its sessions run out.
    pub(super) fn silence(&mut self, handle: u64, is_dead: bool) {
        tracing::debug!(now_ms = self.now_ms, handle, is_dead, "a process falls silent");
        let presence = self.presences.entry(handle).or_default();
        presence.is_silent = true;
        presence.is_dead |= is_dead;
        presence.silences += 1;
        let silence = presence.silences;
        let of_handle: Vec<(String, String)> = self
            .groups
            .iter()
            .flat_map(|(name, group)| group.ids_of(handle).into_iter().map(move |id| (name.clone(), id)))
            .collect();
        let in_ms = self.options.session_timeout_ms;
        for (group, member_id) in of_handle {
            self.schedule(in_ms, Event::SessionEnd { group, member_id, handle, silence });
        }
    }

    /// The process goes on. What happened to its members it learns with their next heartbeats.
    pub(super) fn wake(&mut self, handle: u64) {
        tracing::debug!(now_ms = self.now_ms, handle, "a process goes on");
        let presence = self.presences.entry(handle).or_default();
        presence.is_silent = false;
        let ids = presence.member_ids.clone();
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            self.with_group(&name, |group, delays| group.delay_news(handle, &ids, delays));
        }
    }
}
