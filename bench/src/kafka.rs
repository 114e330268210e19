//! What the harness itself asks the brokers: ends of topics, positions of groups, topics to be made and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock::now;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks how far a group has come with a topic.
pub(crate) struct Positions {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
    starts: BTreeMap<i32, i64>,
}

impl Positions {
    /// Of this group in this topic. Nothing is joined.
    pub(crate) fn open(bootstrap: &str, group: &str, topic: &str, partitions: u32) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            // The last committed positions, whether a transaction is about to change them or not.
            .set("isolation.level", "read_uncommitted")
            .create()?;
        let mut list = TopicPartitionList::new();
        for number in 0..partitions {
            list.add_partition(topic, i32::try_from(number)?);
        }
        let starts = (0..i32::try_from(partitions)?).map(|number| (number, 0)).collect();
        Ok(Self { consumer, partitions: list, starts })
    }

    /// Offsets that the group has committed, by partition; 0 where it has none yet.
    pub(crate) fn committed(&self) -> anyhow::Result<BTreeMap<i32, i64>> {
        let answer = self
            .consumer
            .committed_offsets(self.partitions.clone(), PATIENCE)
            .context("ask for the positions of a group")?;
        let mut committed = self.starts.clone();
        for element in answer.elements() {
            if let Offset::Offset(offset) = element.offset() {
                committed.insert(element.partition(), offset);
            }
        }
        Ok(committed)
    }

    /// Records before them, of all partitions.
    pub(crate) fn sum(&self) -> anyhow::Result<i64> {
        Ok(self.committed()?.values().sum())
    }
}

/// Ends of a topic's partitions, records of open transactions and markers included.
pub(crate) fn ends(bootstrap: &str, topic: &str, partitions: u32) -> anyhow::Result<BTreeMap<i32, i64>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-ends")
        .set("isolation.level", "read_uncommitted")
        .create()?;
    let mut ends = BTreeMap::new();
    for number in 0..i32::try_from(partitions)? {
        let (_, end) = consumer.fetch_watermarks(topic, number, PATIENCE)?;
        ends.insert(number, end);
    }
    Ok(ends)
}

/// Names of all topics that are not Kafka's own.
pub(crate) fn topics(bootstrap: &str) -> anyhow::Result<Vec<String>> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    Ok(names.filter(|name| !name.starts_with("__")).collect())
}

/// Removes topics, and waits until the brokers know them no more.
pub(crate) fn delete_topics(bootstrap: &str, names: &[String]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let outcomes = runtime.block_on(admin.delete_topics(&wanted, &options))?;
    for outcome in outcomes {
        if let Err((name, code)) = outcome {
            bail!("topic {name} cannot be removed: {code}");
        }
    }
    let began = now();
    while topics(bootstrap)?.iter().any(|name| names.contains(name)) {
        if began.elapsed() > PATIENCE {
            bail!("removed topics are still there after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
