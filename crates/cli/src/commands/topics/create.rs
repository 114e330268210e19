//! `settle topics create`.
//!
//! Owns what is said of each topic. It never changes a topic that is there: partition counts are permanent, and settings
//! of topics with data are for their operator to change.

use std::collections::BTreeMap;

use serde::Serialize;
use settle_config::kafka::KafkaConfig;
use settle_config::{Config, Loaded};
use settle_log::{CreateOutcome, Log};
use settle_runtime::{TopicDifference, TopicRequirements, topic_differences};
use settle_types::topic;

use super::existing_topics;
use crate::args::OutputFormat;
use crate::failure::usage;
use crate::output::{self, Sheet, count};
use crate::{Ended, open};

/// A topic after `create`.
#[derive(Serialize)]
struct CreatedRow {
    topic: &'static str,
    partitions: u32,
    outcome: &'static str,
    /// Settings that are not as a run needs them; a topic that was just made has none.
    differences: Vec<DifferenceRow>,
}

#[derive(Serialize)]
struct DifferenceRow {
    setting: &'static str,
    found: String,
    expected: String,
}

impl CreatedRow {
    fn new(topic: &'static str, partitions: u32, is_new: bool) -> Self {
        let outcome = if is_new { "created" } else { "exists" };
        Self { topic, partitions, outcome, differences: Vec::new() }
    }
}

/// On the embedded log: makes what is missing.
pub(super) fn embedded(config: &Config, format: OutputFormat) -> anyhow::Result<Ended> {
    let log = open::log(config)?;
    let created = open::create_topics(&*log, config)?;
    output::message(format!("{} topic(s) created, the others were there", created.len()));
    if format == OutputFormat::Human {
        created.iter().for_each(output::data);
        return Ok(Ended::Done);
    }
    for name in topic::ALL {
        let partitions = open::partition_count(&*log, name)?;
        output::json(&CreatedRow::new(name, partitions, created.contains(&name)));
    }
    Ok(Ended::Done)
}

/// On Kafka: makes what is missing, and says what differs at the topics that were there.
pub(super) fn on_kafka(loaded: &Loaded, format: OutputFormat) -> anyhow::Result<Ended> {
    let config = &loaded.config;
    refuse_impossible_copies(&config.kafka)?;
    let log = open::log(config)?;
    let existing = existing_topics(&*log)?;
    let partitions = partitions_to_have(loaded, &existing)?;
    let mut rows = Vec::new();
    for name in topic::ALL {
        let is_new = log.create_topic(name, partitions)? == CreateOutcome::Created;
        rows.push(CreatedRow::new(name, partitions, is_new));
    }
    let names: Vec<&str> = existing.keys().copied().collect();
    let differences = differences_of(&*log, config, &names)?;
    for row in &mut rows {
        let own = differences.iter().filter(|difference| difference.topic == row.topic);
        row.differences = own.map(difference_row).collect();
    }
    print_created(&*log, &rows, format);
    print_differences(config, &differences);
    Ok(if differences.is_empty() { Ended::Done } else { Ended::WithFindings })
}

/// More copies in sync than there are: older brokers would never write a record, newer ones ask for less than was said.
fn refuse_impossible_copies(kafka: &KafkaConfig) -> anyhow::Result<()> {
    let (needed, copies) = (kafka.min_insync_replicas, kafka.replication_factor);
    if needed <= copies {
        return Ok(());
    }
    Err(usage(
        format!("kafka.min_insync_replicas is {needed}, above kafka.replication_factor, which is {copies}"),
        "on a cluster of one broker, set both to 1",
    ))
}

/// The count for all topics. It is looked at before anything is made: a topic with another count than the others is
/// neither changed nor worked around.
fn partitions_to_have(loaded: &Loaded, existing: &BTreeMap<&'static str, u32>) -> anyhow::Result<u32> {
    let configured = loaded.config.kafka.partitions;
    let is_asked_for = loaded.is_set("kafka.partitions");
    // A default is for clusters without topics: nobody asked for it where there are some.
    let present = topic::ALL.into_iter().find_map(|name| existing.get(name).copied());
    let requested = present.filter(|_| !is_asked_for).unwrap_or(configured);
    let counts = topic::ALL.into_iter().filter_map(|name| Some((name, existing.get(name).copied()?)));
    let Some((name, existing)) = counts.into_iter().find(|(_, count)| *count != requested) else {
        return Ok(requested);
    };
    let why = if is_asked_for {
        "nothing was created: kafka.partitions is not the count of the topics that are there"
    } else {
        "nothing was created: the topics that are there have different counts"
    };
    let mismatch = settle_log::Error::PartitionCountMismatch { topic: name.to_owned(), existing, requested };
    Err(anyhow::Error::from(mismatch).context(why))
}

/// What differs at topics that were there already. Whose settings may not be looked at cannot be checked, and is named.
fn differences_of(log: &dyn Log, config: &Config, names: &[&str]) -> anyhow::Result<Vec<TopicDifference>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let requirements = TopicRequirements { retention_ms: config.retention_ms() };
    let topics = log.topic_settings(names)?;
    let unknown: Vec<&str> =
        topics.iter().filter(|topic| topic.cleanup_policy.is_none()).map(|topic| &*topic.name).collect();
    if !unknown.is_empty() {
        output::message(format!(
            "not checked, this user may not look at their settings (DescribeConfigs): {}",
            unknown.join(", ")
        ));
    }
    Ok(topics.iter().flat_map(|topic| topic_differences(topic, &requirements)).collect())
}

fn difference_row(difference: &TopicDifference) -> DifferenceRow {
    let TopicDifference { setting, found, expected, .. } = difference.clone();
    DifferenceRow { setting, found, expected }
}

fn print_created(log: &dyn Log, rows: &[CreatedRow], format: OutputFormat) {
    if format == OutputFormat::Json {
        rows.iter().for_each(output::json);
        return;
    }
    let mut sheet = Sheet::new(log.describe(), &["topic", "outcome", "partitions"], 2);
    for row in rows {
        sheet.row([row.topic.to_owned(), row.outcome.to_owned(), count(row.partitions)]);
    }
    sheet.print();
}

/// Says what differs, and how to change it with Kafka's own tools: settings of topics with data are not changed here.
fn print_differences(config: &Config, differences: &[TopicDifference]) {
    let brokers = config.kafka.bootstrap_servers.as_deref().unwrap_or_default();
    for TopicDifference { topic, setting, found, expected, remedy } in differences {
        output::message(format!("{topic}: {setting} is {found}, {expected} was expected; to change it:"));
        output::message(format!(
            "  kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} \
             --add-config {setting}={remedy}"
        ));
    }
    if !differences.is_empty() {
        output::message("a run refuses such topics: docs/errors/STL-0313.md");
    }
}
