//! A consumer group: its members, who has which partition, and its positions, settled and pending.
//!
//! Classic groups with static members: a member that comes back under its identity takes the place of the older one
//! without a rebalance. A member learns what happened to it when its next heartbeat is answered.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;
use super::partition::ProducerId;
use crate::record::TopicPartition;

/// A member, by its identity.
#[derive(Debug)]
pub(super) struct Member {
    /// Given anew whenever it joins as a stranger.
    pub(super) id: String,
    /// The process that it runs in.
    pub(super) handle: u64,
    /// What it said to have when it joined last.
    owned: BTreeSet<u32>,
    assigned: BTreeSet<u32>,
    has_joined: bool,
}

/// What the answer to a heartbeat, or to a request to join, says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The group, which is in this generation, finds a new assignment: join again.
    Rejoin { generation: i32 },
    /// This is the new assignment.
    Assigned { generation: i32, numbers: BTreeSet<u32> },
    /// The group knows the member no more.
    Lost,
    /// Another member has its identity.
    Replaced,
}

/// Why positions were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetRefusal {
    IllegalGeneration,
    UnknownMember,
    Replaced,
}

/// A group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: i32,
    partitions: u32,
    members: BTreeMap<String, Member>,
    /// The number of the round of joining that is under way.
    pub(super) round: Option<u64>,
    pub(super) rounds: u64,
    /// By member id: when it learns that something happened to it.
    news_at: BTreeMap<String, u64>,
    /// Turns the assignment, so that rebalances move partitions.
    shift: u64,
    next_id: u64,
    pub(super) offsets: BTreeMap<TopicPartition, u64>,
    /// By producer: positions of its open transaction.
    pub(super) pending: BTreeMap<ProducerId, BTreeMap<TopicPartition, u64>>,
}

/// What a change of the group asks the cluster to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Nothing,
    /// A round began: it ends at its deadline at the latest.
    RoundBegan,
}

impl Group {
    pub(super) fn new(partitions: u32) -> Self {
        Self { partitions, ..Self::default() }
    }

    /// Joins as `identity`: again with the id that it was given, or as a stranger. Returns the member's id; none if the
    /// group knows the given one no more.
    pub(super) fn join(
        &mut self,
        identity: &str,
        known_id: Option<&str>,
        handle: u64,
        owned: &BTreeSet<u32>,
        delays: &mut Delays<'_>,
    ) -> (Option<String>, Follow) {
        if let Some(known_id) = known_id {
            let Some(member) = self.members.get_mut(identity).filter(|member| member.id == known_id) else {
                // What happened to it, it learns with its next look.
                self.news_at.insert(known_id.to_owned(), delays.now_ms);
                return (None, Follow::Nothing);
            };
            member.owned.clone_from(owned);
            let follow = if self.round.is_none() { self.begin_round(delays) } else { Follow::Nothing };
            if let Some(member) = self.members.get_mut(identity) {
                member.has_joined = true;
            }
            self.complete_if_all_joined(delays);
            return (Some(known_id.to_owned()), follow);
        }
        self.next_id += 1;
        let id = format!("{identity}-{}", self.next_id);
        if let Some(member) = self.members.get_mut(identity) {
            // A static member that came back: the older one is shut out. The assignment stays, unless the older one said
            // that it has partitions, which this one has not.
            self.news_at.insert(std::mem::replace(&mut member.id, id.clone()), delays.soon());
            member.handle = handle;
            let has_changed = !std::mem::take(&mut member.owned).is_empty();
            member.has_joined = true;
            self.news_at.insert(id.clone(), delays.soon());
            let follow = if has_changed { self.begin_round(delays) } else { Follow::Nothing };
            if let Some(member) = self.members.get_mut(identity) {
                member.has_joined = true;
            }
            self.complete_if_all_joined(delays);
            return (Some(id), follow);
        }
        let (owned, assigned) = (BTreeSet::new(), BTreeSet::new());
        let member = Member { id: id.clone(), handle, owned, assigned, has_joined: true };
        self.members.insert(identity.to_owned(), member);
        self.shift = delays.chance.number();
        let follow = self.begin_round(delays);
        if let Some(member) = self.members.get_mut(identity) {
            member.has_joined = true;
        }
        self.complete_if_all_joined(delays);
        (Some(id), follow)
    }

    /// Begins a round of joining, if none is under way.
    pub(super) fn begin_round(&mut self, delays: &mut Delays<'_>) -> Follow {
        if self.round.is_some() || self.members.is_empty() {
            return Follow::Nothing;
        }
        self.rounds += 1;
        self.round = Some(self.rounds);
        for member in self.members.values_mut() {
            member.has_joined = false;
            self.news_at.insert(member.id.clone(), delays.heartbeat());
        }
        Follow::RoundBegan
    }

    /// Begins a round from which another assignment comes out.
    pub(super) fn rebalance(&mut self, delays: &mut Delays<'_>) -> Follow {
        self.shift = delays.chance.number();
        self.begin_round(delays)
    }

    /// The round waited for long enough: who has not joined is taken out.
    pub(super) fn end_round(&mut self, round: u64, delays: &mut Delays<'_>) -> bool {
        if self.round != Some(round) {
            return false;
        }
        let late: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| !member.has_joined)
            .map(|(identity, _)| identity.clone())
            .collect();
        for identity in &late {
            self.forget(identity, delays);
        }
        self.complete(delays);
        !late.is_empty()
    }

    fn forget(&mut self, identity: &str, delays: &mut Delays<'_>) {
        if let Some(member) = self.members.remove(identity) {
            self.news_at.insert(member.id, delays.heartbeat());
        }
    }

    /// Takes a member out, if it still has this id.
    pub(super) fn remove(&mut self, member_id: &str, delays: &mut Delays<'_>) -> Option<Follow> {
        let found = self.members.iter().find(|(_, member)| member.id == member_id);
        let identity = found.map(|(identity, _)| identity.clone())?;
        self.forget(&identity, delays);
        let follow = self.rebalance(delays);
        self.complete_if_all_joined(delays);
        Some(follow)
    }

    fn complete_if_all_joined(&mut self, delays: &mut Delays<'_>) {
        if self.round.is_some() && self.members.values().all(|member| member.has_joined) {
            self.complete(delays);
        }
    }

    fn complete(&mut self, delays: &mut Delays<'_>) {
        self.round = None;
        self.generation += 1;
        let count = u64::try_from(self.members.len()).unwrap_or(u64::MAX);
        let shift = self.shift;
        let target =
            |number: u32, place: u64| (u64::from(number).wrapping_add(shift)) % count.max(1) == place;
        // What a member has not given up yet is not given to another one.
        let owners: BTreeMap<u32, String> = self
            .members
            .iter()
            .flat_map(|(identity, member)| member.owned.iter().map(|number| (*number, identity.clone())))
            .collect();
        for (place, (identity, member)) in (0..count).zip(self.members.iter_mut()) {
            member.assigned = (0..self.partitions)
                .filter(|number| target(*number, place))
                .filter(|number| owners.get(number).is_none_or(|owner| owner == identity))
                .collect();
            member.has_joined = false;
            self.news_at.insert(member.id.clone(), delays.soon());
        }
    }

    /// What a member learns now, if anything.
    pub(super) fn news(
        &mut self,
        identity: &str,
        member_id: &str,
        generation: i32,
        now_ms: u64,
    ) -> Option<News> {
        if self.news_at.get(member_id).is_none_or(|at| *at > now_ms) {
            return None;
        }
        self.news_at.remove(member_id);
        match self.members.get(identity) {
            None => Some(News::Lost),
            Some(member) if member.id != member_id => Some(News::Replaced),
            Some(member) if self.round.is_some() => {
                let generation = self.generation;
                (!member.has_joined).then_some(News::Rejoin { generation })
            }
            Some(member) => (self.generation != generation)
                .then(|| News::Assigned { generation: self.generation, numbers: member.assigned.clone() }),
        }
    }

    /// The members of a process that woke: their heartbeats are answered later.
    pub(super) fn delay_news(&mut self, handle: u64, ids: &BTreeSet<String>, delays: &mut Delays<'_>) {
        let of_handle = |id: &String| {
            ids.contains(id)
                || self.members.values().any(|member| member.handle == handle && member.id == *id)
        };
        let late: Vec<String> = self.news_at.keys().filter(|id| of_handle(id)).cloned().collect();
        for id in late {
            let at = delays.heartbeat();
            let news_at = self.news_at.entry(id).or_default();
            *news_at = (*news_at).max(at);
        }
    }

    /// Ids of the members of a process.
    pub(super) fn ids_of(&self, handle: u64) -> Vec<String> {
        let of_handle = self.members.values().filter(|member| member.handle == handle);
        of_handle.map(|member| member.id.clone()).collect()
    }

    /// Generation and id of one of the members.
    pub(super) fn any_member(&self) -> Option<(i32, String)> {
        self.members.values().next().map(|member| (self.generation, member.id.clone()))
    }

    /// Ids of all members.
    pub(super) fn ids(&self) -> Vec<String> {
        self.members.values().map(|member| member.id.clone()).collect()
    }

    /// Whether this member may publish positions. Neither generation nor id: nobody is asked.
    pub(super) fn check(
        &self,
        generation: i32,
        member_id: &str,
        identity: &str,
    ) -> Result<(), OffsetRefusal> {
        if generation < 0 && member_id.is_empty() {
            return Ok(());
        }
        let Some(member) = self.members.values().find(|member| member.id == member_id) else {
            let is_replaced = self.members.contains_key(identity);
            return Err(if is_replaced { OffsetRefusal::Replaced } else { OffsetRefusal::UnknownMember });
        };
        debug_assert_eq!(member.id, member_id);
        if generation == self.generation { Ok(()) } else { Err(OffsetRefusal::IllegalGeneration) }
    }

    /// The settled positions of these; none if one of them is pending.
    pub(super) fn stable_offsets(
        &self,
        partitions: &[TopicPartition],
        takes_unstable: bool,
    ) -> Option<BTreeMap<TopicPartition, u64>> {
        let is_pending = |partition: &&TopicPartition| {
            self.pending.values().any(|offsets| offsets.contains_key(*partition))
        };
        if !takes_unstable && partitions.iter().any(|partition| is_pending(&partition)) {
            return None;
        }
        let known = |partition: &TopicPartition| Some((partition.clone(), *self.offsets.get(partition)?));
        Some(partitions.iter().filter_map(known).collect())
    }

    /// A marker ends the pending positions of a producer.
    pub(super) fn mark(&mut self, producer: ProducerId, is_commit: bool) {
        if let Some(offsets) = self.pending.remove(&producer)
            && is_commit
        {
            self.offsets.extend(offsets);
        }
    }
}

/// How long it takes until somebody learns something.
pub(super) struct Delays<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) now_ms: u64,
    pub(super) heartbeat_ms: u64,
}

impl Delays<'_> {
    /// With the answer to a request that is under way.
    fn soon(&mut self) -> u64 {
        self.now_ms + self.chance.between(1, 10)
    }

    /// With the next heartbeat.
    fn heartbeat(&mut self) -> u64 {
        self.now_ms + self.chance.between(0, self.heartbeat_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined((id, _): (Option<String>, Follow)) -> String {
        id.expect("a stranger may join")
    }

    fn numbers(news: Option<News>) -> (i32, Vec<u32>) {
        match news {
            Some(News::Assigned { generation, numbers }) => (generation, numbers.into_iter().collect()),
            other => panic!("an assignment was expected, found {other:?}"),
        }
    }

    #[test]
    fn members_share_the_partitions_and_an_older_generation_is_refused() {
        let mut chance = Chance::new(1, 0);
        let mut group = Group::new(4);
        let mut delays = Delays { chance: &mut chance, now_ms: 0, heartbeat_ms: 100 };
        let nothing = BTreeSet::new();
        let first = joined(group.join("a", None, 1, &nothing, &mut delays));
        let (generation, all) = numbers(group.news("a", &first, -1, 1_000));
        assert_eq!(all, [0, 1, 2, 3]);
        let (second, follow) = group.join("b", None, 2, &nothing, &mut delays);
        assert_eq!(follow, Follow::RoundBegan);
        let second = second.expect("a stranger may join");
        assert_eq!(group.check(generation, &first, "a"), Ok(()), "it can still commit");
        assert_eq!(group.news("a", &first, generation, 1_000), Some(News::Rejoin { generation }));
        group.join("a", Some(&first), 1, &nothing, &mut delays);
        assert_eq!(group.check(generation, &first, "a"), Err(OffsetRefusal::IllegalGeneration));
        let (_, of_first) = numbers(group.news("a", &first, generation, 1_000));
        let (_, of_second) = numbers(group.news("b", &second, -1, 1_000));
        assert_eq!((of_first.len(), of_second.len()), (2, 2));
    }

    #[test]
    fn a_static_member_that_comes_back_shuts_the_older_out_without_a_round() {
        let mut chance = Chance::new(1, 0);
        let mut group = Group::new(2);
        let mut delays = Delays { chance: &mut chance, now_ms: 0, heartbeat_ms: 100 };
        let nothing = BTreeSet::new();
        let older = joined(group.join("a", None, 1, &nothing, &mut delays));
        let (generation, _) = numbers(group.news("a", &older, -1, 1_000));
        let (newer, follow) = group.join("a", None, 2, &nothing, &mut delays);
        assert_eq!(follow, Follow::Nothing);
        let newer = newer.expect("a stranger may join");
        assert_eq!(numbers(group.news("a", &newer, -1, 1_000)), (generation, vec![0, 1]));
        assert_eq!(group.check(generation, &older, "a"), Err(OffsetRefusal::Replaced));
        assert_eq!(group.news("a", &older, generation, 1_000), Some(News::Replaced));
    }

    #[test]
    fn a_member_that_was_taken_out_is_told_before_it_joins_again() {
        let mut chance = Chance::new(1, 0);
        let mut group = Group::new(2);
        let mut delays = Delays { chance: &mut chance, now_ms: 0, heartbeat_ms: 100 };
        let nothing = BTreeSet::new();
        let member = joined(group.join("a", None, 1, &nothing, &mut delays));
        let (generation, _) = numbers(group.news("a", &member, -1, 1_000));
        group.remove(&member, &mut delays).expect("it was a member");
        assert_eq!(group.join("a", Some(&member), 1, &BTreeSet::from([0]), &mut delays).0, None);
        assert_eq!(group.news("a", &member, generation, 0), Some(News::Lost));
    }

    #[test]
    fn pending_positions_are_settled_by_a_marker() {
        let mut group = Group::new(1);
        let partition = TopicPartition::new("t", 0);
        group.pending.insert(7, BTreeMap::from([(partition.clone(), 5)]));
        assert_eq!(group.stable_offsets(std::slice::from_ref(&partition), false), None);
        group.mark(7, true);
        let settled = group.stable_offsets(std::slice::from_ref(&partition), false);
        assert_eq!(settled, Some(BTreeMap::from([(partition, 5)])));
    }
}
