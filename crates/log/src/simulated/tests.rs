//! What the simulated cluster does, seen through the traits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::consumer::{AssignmentChange, GroupMetadata, Member, PollLimit};
use crate::record::TopicName;

const LIMIT: PollLimit = PollLimit { records: 100, bytes: 1 << 20 };

struct World {
    cluster: SimulatedCluster,
    log: SimulatedLog,
    topic: TopicName,
}

fn world() -> World {
    let cluster = SimulatedCluster::new(SimulatedOptions { seed: 1, ..SimulatedOptions::default() });
    let log = cluster.log(1);
    for topic in ["in", "out"] {
        log.create_topic(topic, 2).expect("a new topic");
    }
    World { cluster, log, topic: "out".into() }
}

impl World {
    fn pass(&self, millis: u64) {
        self.cluster.advance_to(self.cluster.now_ms() + millis);
    }

    fn consumer(&self, log: &SimulatedLog, identity: &str) -> Box<dyn Consumer> {
        let options = ConsumerOptions {
            group: "g".to_owned(),
            primary: "in".into(),
            secondaries: Vec::new(),
            member: Member { ordinal: 0, count: 1 },
            identity: identity.to_owned(),
            report_ends: false,
        };
        log.consumer(options).expect("the topics are there")
    }

    /// Polls until the group says something.
    fn change(&self, consumer: &mut dyn Consumer) -> AssignmentChange {
        for _ in 0..100 {
            let poll = consumer.poll(LIMIT, Duration::ZERO).expect("a poll");
            if let Some(change) = poll.assignment.into_iter().next() {
                return change;
            }
            self.pass(200);
        }
        panic!("the group says nothing");
    }

    fn send(&self, producer: &mut dyn TransactionalProducer, value: &str) {
        let record = OutputRecord {
            topic: &self.topic,
            partition: 0,
            timestamp_ms: 1,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        producer.send(&record).expect("the record is taken");
    }

    fn values(&self) -> Vec<String> {
        let records = self.cluster.committed_records(&TopicPartition::new("out", 0), 0);
        let text = |record: Record| String::from_utf8(record.value.unwrap_or_default().to_vec());
        records.into_iter().map(|record| text(record).expect("text")).collect()
    }
}

fn offsets(next: u64) -> Vec<(TopicPartition, u64)> {
    vec![(TopicPartition::new("in", 0), next)]
}

#[test]
fn a_commit_is_seen_when_its_markers_have_arrived() {
    let world = world();
    let mut consumer = world.consumer(&world.log, "a");
    assert_eq!(world.change(&mut *consumer), AssignmentChange::Assigned(vec![0, 1]));
    let mut producer = world.log.producer("a").expect("a producer");
    producer.begin().expect("it begins");
    world.send(&mut *producer, "1");
    producer.send_offsets(&consumer.group_metadata().expect("a member"), &offsets(5)).expect("positions");
    let committed = producer.commit().expect("it commits");
    assert_eq!(committed.next_offsets, BTreeMap::from([(TopicPartition::new("out", 0), 1)]));
    let inputs = [TopicPartition::new("in", 0)];
    assert_eq!(consumer.committed_offsets(&inputs).expect("an answer"), None, "the marker is under way");
    world.pass(100);
    assert_eq!(world.values(), ["1"]);
    let settled = consumer.committed_offsets(&inputs).expect("an answer").expect("stable");
    assert_eq!(settled, offsets(5).into_iter().collect());
    assert!(world.cluster.is_settled());
}

#[test]
fn a_zombie_is_refused_by_its_generation_and_the_group_goes_on() {
    let world = world();
    let mut zombie = world.consumer(&world.log, "a");
    world.change(&mut *zombie);
    let mut producer = world.log.producer("a").expect("a producer");
    producer.begin().expect("it begins");
    world.send(&mut *producer, "late");
    world.cluster.suspend(1);
    let other = world.cluster.log(2);
    let mut heir = world.consumer(&other, "b");
    world.pass(10_000);
    assert_eq!(world.change(&mut *heir), AssignmentChange::Assigned(vec![0, 1]));
    world.cluster.resume(1);
    // It does not know yet.
    producer.send_offsets(&zombie.group_metadata().expect("a member"), &offsets(5)).expect("positions");
    let refused = producer.commit().expect_err("a zombie");
    assert!(matches!(refused, CommitError::Aborted { .. } | CommitError::Unknown { .. }), "{refused:?}");
    assert!(world.values().is_empty());
    assert_eq!(world.change(&mut *zombie), AssignmentChange::Lost(vec![0, 1]));
}

#[test]
fn lost_replies_leave_the_outcome_unknown_and_a_new_producer_shuts_late_copies_out() {
    for (fault, is_applied) in [
        (NetworkFault::EndReplyLost, true),
        (NetworkFault::EndRequestLost, false),
        (NetworkFault::EndLate, false),
    ] {
        let world = world();
        let mut producer = world.log.producer("a").expect("a producer");
        producer.begin().expect("it begins");
        world.send(&mut *producer, "1");
        world.cluster.arm(fault, None);
        let unknown = producer.commit().expect_err("no answer");
        assert!(matches!(unknown, CommitError::Unknown { .. }), "{unknown:?}");
        let mut producer = world.log.producer("a").expect("a new producer");
        producer.begin().expect("it begins");
        world.send(&mut *producer, "2");
        world.pass(8_000);
        producer.commit().expect("it commits");
        world.pass(100);
        let expected: &[&str] = if is_applied { &["1", "2"] } else { &["2"] };
        assert_eq!(world.values(), expected, "{fault:?}");
        assert_eq!(world.cluster.fired(), BTreeMap::from([(fault, 1)]));
    }
}

#[test]
fn a_late_copy_of_the_end_ends_the_next_transaction_of_the_same_producer() {
    let cluster = SimulatedCluster::new(SimulatedOptions {
        client_bug: Some(ClientBug::KeepsProducer),
        ..SimulatedOptions::default()
    });
    let log = cluster.log(1);
    log.create_topic("out", 1).expect("a new topic");
    let world = World { cluster, log, topic: "out".into() };
    let mut producer = world.log.producer("a").expect("a producer");
    world.cluster.arm(NetworkFault::EndCopied, None);
    producer.begin().expect("it begins");
    world.send(&mut *producer, "1");
    producer.commit().expect("it commits");
    world.pass(100);
    producer.begin().expect("it begins");
    for value in 0..50 {
        world.send(&mut *producer, &format!("half {value}"));
    }
    world.pass(6_000);
    assert!(world.values().len() > 1, "a transaction that nobody ended is there");
    let late = world.cluster.transitions();
    assert_eq!(late.get("late end ended another transaction"), Some(&1));
}

#[test]
fn an_open_transaction_runs_out_of_time_and_its_producer_is_shut_out() {
    let world = world();
    let mut producer = world.log.producer("a").expect("a producer");
    producer.begin().expect("it begins");
    (0..20).for_each(|_| world.send(&mut *producer, "1"));
    world.pass(20_000);
    assert!(world.cluster.is_settled());
    let refused = producer.commit().expect_err("it is too late");
    assert!(matches!(refused, CommitError::Unknown { .. }), "{refused:?}");
    assert!(world.values().is_empty());
}

#[test]
fn a_restarted_static_member_gets_its_partitions_back_and_the_older_one_is_told() {
    let world = world();
    let mut older = world.consumer(&world.log, "a");
    world.change(&mut *older);
    let newer_log = world.cluster.log(2);
    let mut newer = world.consumer(&newer_log, "a");
    assert_eq!(world.change(&mut *newer), AssignmentChange::Assigned(vec![0, 1]));
    let old_metadata = older.group_metadata().expect("it thinks so");
    let mut producer = world.log.producer("x").expect("a producer");
    producer.begin().expect("it begins");
    world.send(&mut *producer, "1");
    producer
        .send_offsets(&GroupMetadata::new("g", old_metadata.generation, "gone"), &offsets(1))
        .expect("taken");
    assert!(producer.commit().is_err());
    let told = (0..100).find_map(|_| {
        world.pass(100);
        older.poll(LIMIT, Duration::ZERO).err()
    });
    assert_eq!(told.map(|error| error.code()), Some("STL-0122"));
}

#[test]
fn the_same_seed_gives_the_same_choices() {
    let offsets_of = |seed| {
        let cluster = SimulatedCluster::new(SimulatedOptions { seed, ..SimulatedOptions::default() });
        let log = cluster.log(1);
        log.create_topic("out", 3).expect("a new topic");
        let world = World { cluster, log, topic: "out".into() };
        let mut producer = world.log.producer("a").expect("a producer");
        let mut moments = Vec::new();
        for value in 0..5 {
            producer.begin().expect("it begins");
            world.send(&mut *producer, &value.to_string());
            producer.commit().expect("it commits");
            moments.push(world.cluster.next_event_ms());
        }
        moments
    };
    assert_eq!(offsets_of(1), offsets_of(1));
    assert_ne!(offsets_of(1), offsets_of(2));
}
