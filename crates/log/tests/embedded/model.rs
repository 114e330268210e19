//! The log against a naive model: vectors of values and a map of positions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use settle_log::embedded::EmbeddedOptions;
use settle_log::{EmbeddedLog, GroupMetadata, Log, PollLimit, TopicPartition};

use crate::common::{NO_WAIT, at, consumer_options, fast, send, texts};

const TOPICS: [(&str, u32); 2] = [("a", 3), ("b", 1)];

#[derive(Debug, Clone)]
enum End {
    Commit,
    Abort,
    /// The log is dropped with the transaction open, and opened again.
    Crash,
}

#[derive(Debug, Clone)]
enum Step {
    Transaction { records: Vec<(usize, u32, String)>, positions: Vec<(usize, u32, u64)>, end: End },
    Reopen,
    Read { topic: usize, partition: u32, from: proptest::sample::Index, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let topic = 0..TOPICS.len();
    let record = (topic.clone(), 0_u32..3, "[a-z]{0,30}");
    let position = (topic.clone(), 0_u32..3, 0_u64..100);
    let end = prop_oneof![6 => Just(End::Commit), 1 => Just(End::Abort), 1 => Just(End::Crash)];
    let transaction =
        (proptest::collection::vec(record, 0..8), proptest::collection::vec(position, 0..3), end)
            .prop_map(|(records, positions, end)| Step::Transaction { records, positions, end });
    let read = (topic, 0_u32..3, any::<proptest::sample::Index>(), 1_usize..6)
        .prop_map(|(topic, partition, from, limit)| Step::Read { topic, partition, from, limit });
    prop_oneof![4 => transaction, 1 => Just(Step::Reopen), 4 => read]
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Model {
    values: BTreeMap<TopicPartition, Vec<String>>,
    positions: BTreeMap<TopicPartition, u64>,
}

fn partition_of(topic: usize, partition: u32) -> TopicPartition {
    let (name, partitions) = TOPICS[topic];
    at(name, partition % partitions)
}

fn run(steps: &[Step], options: EmbeddedOptions) {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || EmbeddedLog::open(directory.path(), options).unwrap();
    let mut log = reopen();
    for (name, partitions) in TOPICS {
        log.create_topic(name, partitions).unwrap();
    }
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Transaction { records, positions, end } => {
                let mut after = model.clone();
                let mut producer = log.producer("p").unwrap();
                producer.begin().unwrap();
                for (topic, partition, value) in records {
                    let target = partition_of(*topic, *partition);
                    send(producer.as_mut(), &target.topic, target.partition, value);
                    after.values.entry(target).or_default().push(value.clone());
                }
                for (topic, partition, next_offset) in positions {
                    let target = partition_of(*topic, *partition);
                    let group = GroupMetadata::new("group", 1, "group-0");
                    producer.send_offsets(&group, &[(target.clone(), *next_offset)]).unwrap();
                    after.positions.insert(target, *next_offset);
                }
                match end {
                    End::Abort => producer.abort().unwrap(),
                    End::Crash => {
                        drop(producer);
                        drop(log);
                        log = reopen();
                    }
                    End::Commit => {
                        let committed = producer.commit().unwrap();
                        for (partition, next_offset) in committed.next_offsets {
                            let length = u64::try_from(after.values[&partition].len()).unwrap();
                            assert_eq!(next_offset, length, "{partition}");
                        }
                        model = after;
                    }
                }
            }
            Step::Reopen => {
                drop(log);
                log = reopen();
            }
            Step::Read { topic, partition, from, limit } => {
                let target = partition_of(*topic, *partition);
                let expected = model.values.get(&target).cloned().unwrap_or_default();
                let from = from.index(expected.len() + 1);
                let until = expected.len().min(from + limit);
                let limit = PollLimit { records: *limit, bytes: usize::MAX };
                let offset = u64::try_from(from).unwrap();
                let read = log.reader().unwrap().read(&target, offset, limit, NO_WAIT).unwrap().records;
                assert_eq!(texts(&read), expected[from..until]);
            }
        }
        assert_eq!(log.committed_offsets("group"), model.positions);
    }
    assert_eq!(consume_all(&log), model.values);
    drop(log);
    assert_eq!(consume_all(&reopen()), model.values);
}

/// Everything, as a consumer with small polls sees it: secondary "b" has one partition, so each topic
/// has a consumer of its own.
fn consume_all(log: &EmbeddedLog) -> BTreeMap<TopicPartition, Vec<String>> {
    let mut found: BTreeMap<TopicPartition, Vec<String>> = BTreeMap::new();
    for (name, partitions) in TOPICS {
        let mut consumer = log.consumer(consumer_options(name, &[], 0, 1)).unwrap();
        let limit = PollLimit { records: 4, bytes: 40 };
        consumer.poll(limit, NO_WAIT).unwrap();
        for partition in 0..partitions {
            consumer.seek(&at(name, partition), 0).unwrap();
        }
        loop {
            let poll = consumer.poll(limit, NO_WAIT).unwrap();
            for record in &poll.records {
                let values = found.entry(record.topic_partition()).or_default();
                assert_eq!(record.offset, u64::try_from(values.len()).unwrap());
                values.push(crate::common::text(record));
            }
            if poll.ends.len() == usize::try_from(partitions).unwrap() {
                break;
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_log_equals_its_model(
        steps in proptest::collection::vec(step(), 1..25),
        segment_bytes in prop_oneof![Just(1_u64), 100_u64..2000, Just(1_000_000)],
    ) {
        run(&steps, EmbeddedOptions { segment_bytes, ..fast() });
    }
}
