//! `settle topics list`.

use serde::Serialize;
use settle_log::{Log, Reader, TopicPartition, TopicSettings};
use settle_types::topic;

use super::existing_topics;
use crate::Ended;
use crate::args::OutputFormat;
use crate::output::{self, Sheet, count};

#[derive(Serialize)]
struct EmbeddedRow {
    topic: String,
    partitions: u32,
    records: u64,
}

/// On the embedded log: every topic with its records.
pub(super) fn embedded(log: &dyn Log, format: OutputFormat) -> anyhow::Result<Ended> {
    let mut reader = log.reader()?;
    let mut sheet = Sheet::new(log.describe(), &["topic", "partitions", "records"], 1);
    for topic in log.topics()? {
        let records = offsets(&mut *reader, &topic.name, topic.partitions)?;
        let row = EmbeddedRow { topic: topic.name.to_string(), partitions: topic.partitions, records };
        match format {
            OutputFormat::Json => output::json(&row),
            OutputFormat::Human => sheet.row([row.topic, count(row.partitions), count(row.records)]),
        }
    }
    if format == OutputFormat::Human {
        sheet.print();
    }
    Ok(Ended::Done)
}

#[derive(Serialize)]
struct KafkaRow {
    topic: String,
    partitions: u32,
    /// From the start to the committed end: records, and the markers of commits and aborts among them.
    offsets: u64,
    retention_ms: Option<i64>,
    retention_bytes: Option<i64>,
    cleanup_policy: Option<String>,
}

/// On Kafka: the topics of Settle alone, a cluster has others.
pub(super) fn on_kafka(log: &dyn Log, format: OutputFormat) -> anyhow::Result<Ended> {
    let existing = existing_topics(log)?;
    let names: Vec<&str> = existing.keys().copied().collect();
    let described = if names.is_empty() { Vec::new() } else { log.topic_settings(&names)? };
    let mut reader = log.reader()?;
    let header = ["topic", "partitions", "offsets", "retention", "cleanup policy"];
    let mut sheet = Sheet::new(log.describe(), &header, 1);
    for topic in described {
        let offsets = offsets(&mut *reader, &topic.name, topic.partitions)?;
        match format {
            OutputFormat::Json => output::json(&KafkaRow {
                topic: topic.name.to_string(),
                partitions: topic.partitions,
                offsets,
                retention_ms: topic.retention_ms,
                retention_bytes: topic.retention_bytes,
                cleanup_policy: topic.cleanup_policy,
            }),
            OutputFormat::Human => sheet.row([
                topic.name.to_string(),
                count(topic.partitions),
                count(offsets),
                retention_words(&topic),
                topic.cleanup_policy.unwrap_or_else(|| UNKNOWN.to_owned()),
            ]),
        }
    }
    if format == OutputFormat::Human {
        sheet.print();
    }
    let missing: Vec<&str> = topic::ALL.into_iter().filter(|name| !existing.contains_key(name)).collect();
    if !missing.is_empty() {
        output::message(format!(
            "not there, or not for this user to see: {}; `settle topics create` makes what is missing",
            missing.join(", ")
        ));
    }
    Ok(Ended::Done)
}

/// Offsets from the start to the committed end, over all partitions of a topic.
fn offsets(reader: &mut dyn Reader, topic: &str, partitions: u32) -> anyhow::Result<u64> {
    let mut offsets = 0;
    for number in 0..partitions {
        let partition = TopicPartition::new(topic, number);
        offsets += reader.committed_end_offset(&partition)?.saturating_sub(reader.start_offset(&partition)?);
    }
    Ok(offsets)
}

/// A setting that this user may not look at.
const UNKNOWN: &str = "?";

/// For how long a topic keeps its records, in the largest unit that says it without a rest.
fn retention_words(topic: &TopicSettings) -> String {
    let by_age = match topic.retention_ms {
        None => UNKNOWN.to_owned(),
        Some(ms) if ms < 0 => "forever".to_owned(),
        Some(ms) if ms % 86_400_000 == 0 => format!("{} days", ms / 86_400_000),
        Some(ms) if ms % 3_600_000 == 0 => format!("{} hours", ms / 3_600_000),
        Some(ms) => format!("{ms} ms"),
    };
    match topic.retention_bytes {
        Some(bytes) if bytes >= 0 => format!("{by_age}, {} bytes a partition", count(bytes)),
        _ => by_age,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_said_in_the_largest_whole_unit() {
        let topic = |retention_ms, retention_bytes| TopicSettings {
            name: "payments.decided".into(),
            partitions: 1,
            retention_ms,
            retention_bytes,
            cleanup_policy: None,
            identity: String::new(),
            may_read: true,
            may_write: true,
        };
        let cases = [
            (None, None, "?"),
            (Some(-1), Some(-1), "forever"),
            (Some(30 * 86_400_000), Some(-1), "30 days"),
            (Some(36 * 3_600_000), None, "36 hours"),
            (Some(86_400_001), Some(-1), "86400001 ms"),
            (Some(-1), Some(1_048_576), "forever, 1,048,576 bytes a partition"),
        ];
        for (retention_ms, retention_bytes, expected) in cases {
            assert_eq!(retention_words(&topic(retention_ms, retention_bytes)), expected);
        }
    }
}
