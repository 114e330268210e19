//! Topics: making them, and how they are set up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::cluster::Cluster;
use super::native;
use crate::error::Error;
use crate::log::{CreateOutcome, TopicSettings};

/// Creates a topic, or confirms that it is there with this number of partitions.
pub(super) fn create_topic(cluster: &Cluster, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
    if let Some(existing) = cluster.topics()?.get(name).copied() {
        return confirm(name, existing, partitions);
    }
    let settings = &cluster.options.topics;
    let replication = TopicReplication::Fixed(i32::from(settings.replication_factor));
    let retention_ms = settings.retention_ms.get(name).copied().unwrap_or(-1);
    // Retention counts from a record's timestamp. That of a backfill lies in the past: where records are removed at all,
    // their time is that of their arrival, or they would be removed at once.
    let timestamp_type = if retention_ms < 0 { "CreateTime" } else { "LogAppendTime" };
    let retention_ms = retention_ms.to_string();
    let min_insync_replicas = settings.min_insync_replicas.to_string();
    let count = i32::try_from(partitions).map_err(|_| Error::InvalidArgument {
        what: format!("a topic cannot have {partitions} partitions"),
    })?;
    let topic = NewTopic::new(name, count, replication)
        .set("cleanup.policy", "delete")
        .set("retention.ms", &retention_ms)
        .set("retention.bytes", "-1")
        .set("message.timestamp.type", timestamp_type)
        .set("min.insync.replicas", &min_insync_replicas);
    let outcomes = block_on(cluster.admin()?.create_topics([&topic], &options()))
        .map_err(|error| cluster.failed("create a topic", name, &error))?;
    match outcomes.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
            let existing = cluster.topics()?.get(name).copied().unwrap_or(partitions);
            confirm(name, existing, partitions)
        }
        Some(Err((_, code))) => Err(cluster.failed("create a topic", name, &KafkaError::AdminOp(code))),
        _ => {
            wait_until_known(cluster, name, partitions)?;
            Ok(CreateOutcome::Created)
        }
    }
}

fn confirm(name: &str, existing: u32, requested: u32) -> Result<CreateOutcome, Error> {
    if existing == requested {
        return Ok(CreateOutcome::Exists);
    }
    Err(Error::PartitionCountMismatch { topic: name.to_owned(), existing, requested })
}

/// A new topic is known to the brokers one after the other.
fn wait_until_known(cluster: &Cluster, name: &str, partitions: u32) -> Result<(), Error> {
    let deadline = super::time::now() + super::CALL_TIMEOUT;
    while cluster.topics()?.get(name) != Some(&partitions) {
        if super::time::now() >= deadline {
            return Err(cluster.errors.silence("create a topic", name));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

/// How topics are set up, in the order of the names; those that are not there are left out.
pub(super) fn topic_settings(cluster: &Cluster, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
    let described = native::describe_topics(cluster.observer().client(), names, super::CALL_TIMEOUT)
        .map_err(|code| {
            cluster.failed("describe topics", names.first().unwrap_or(&""), &KafkaError::AdminOp(code))
        })?;
    let mut found = Vec::new();
    for topic in described {
        match topic.error {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(code) => {
                return Err(cluster.errors.of("describe a topic", &topic.name, &KafkaError::AdminOp(code)));
            }
            None => found.push(topic),
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> =
        found.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let configured = block_on(cluster.admin()?.describe_configs(&resources, &options()))
        .map_err(|error| cluster.failed("describe topics", "", &error))?;
    let settings = found.iter().zip(configured).map(|(topic, configured)| {
        // Who may use a topic need not be allowed to look at its settings.
        let configured = configured.ok();
        let value = |name: &str| configured.as_ref().and_then(|found| found.get(name)?.value.clone());
        TopicSettings {
            name: topic.name.as_str().into(),
            partitions: topic.partitions,
            retention_ms: value("retention.ms").and_then(|text| text.parse().ok()),
            retention_bytes: value("retention.bytes").and_then(|text| text.parse().ok()),
            cleanup_policy: value("cleanup.policy"),
            identity: topic.id.clone(),
            may_read: topic.may_read,
            may_write: topic.may_write,
        }
    });
    Ok(settings.collect())
}

/// Whether records of a topic have the time of their arrival; true if its settings may not be looked at.
pub(super) fn stamps_arrival(cluster: &Cluster, topic: &str) -> Result<bool, Error> {
    let resource = ResourceSpecifier::Topic(topic);
    let configured = block_on(cluster.admin()?.describe_configs(&[resource], &options()))
        .map_err(|error| cluster.failed("describe a topic", topic, &error))?;
    let configured = configured.into_iter().next().and_then(Result::ok);
    let value = configured.and_then(|found| found.get("message.timestamp.type")?.value.clone());
    Ok(value.is_none_or(|value| value == "LogAppendTime"))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(super::CALL_TIMEOUT))
        // Until the topic is known everywhere.
        .operation_timeout(Some(super::CALL_TIMEOUT))
}

/// Waits for an answer of the admin client, which librdkafka's own thread brings.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
