//! `settle topics create | list | tail`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use settle_log::{Log, Reader, Record, TopicPartition};
use settle_types::Timestamp;

use crate::args::{Common, OutputFormat, TailArguments, TopicsCommand};
use crate::failure::usage;
use crate::output::{self, Sheet, count};
use crate::{Ended, open, settings};

/// Runs `settle topics`.
pub(crate) fn run(common: &Common, command: &TopicsCommand) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    match command {
        TopicsCommand::Create => {
            let log = open::log(&config)?;
            let created = open::create_topics(&*log, &config)?;
            output::message(format!("{} topic(s) created, the others were there", created.len()));
            created.iter().for_each(output::data);
        }
        TopicsCommand::List { format } => list(&*open::log_read_only(&config)?, *format)?,
        TopicsCommand::Tail(arguments) => tail(&*open::log_read_only(&config)?, arguments)?,
    }
    Ok(Ended::Done)
}

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    partitions: u32,
    records: u64,
}

fn list(log: &dyn Log, format: OutputFormat) -> anyhow::Result<()> {
    let mut reader = log.reader()?;
    let mut sheet = Sheet::new(log.describe(), &["topic", "partitions", "records"], 1);
    for topic in log.topics()? {
        let mut records = 0;
        for number in 0..topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), number);
            records += reader.committed_end_offset(&partition)? - reader.start_offset(&partition)?;
        }
        let row = TopicRow { topic: topic.name.to_string(), partitions: topic.partitions, records };
        match format {
            OutputFormat::Json => output::json(&row),
            OutputFormat::Human => sheet.row([row.topic, count(row.partitions), count(row.records)]),
        }
    }
    if format == OutputFormat::Human {
        sheet.print();
    }
    Ok(())
}

/// How long `--follow` waits for records of one partition before it looks at the next.
const FOLLOW_WAIT: Duration = Duration::from_millis(100);

fn tail(log: &dyn Log, arguments: &TailArguments) -> anyhow::Result<()> {
    let partitions = open::partition_count(log, &arguments.topic)?;
    if let Some(partition) = arguments.partition.filter(|partition| *partition >= partitions) {
        let message = format!("--partition {partition}: the topic has partitions 0 to {}", partitions - 1);
        return Err(usage(message, "leave --partition out to read all of them"));
    }
    let numbers = arguments.partition.map_or(0..partitions, |partition| partition..partition + 1);
    let mut reader = log.reader()?;
    let mut positions = start_positions(&mut *reader, arguments, numbers)?;
    loop {
        for (partition, next_offset) in &mut positions {
            let print = |record: &Record| {
                output::data(line(record, arguments.format));
                Ok(())
            };
            *next_offset = open::read_partition(&mut *reader, partition, *next_offset, print)?;
        }
        if !arguments.follow {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_WAIT);
    }
}

/// From where each partition is printed: from its start, or so that `--limit` records are left in all.
fn start_positions(
    reader: &mut dyn Reader,
    arguments: &TailArguments,
    numbers: std::ops::Range<u32>,
) -> anyhow::Result<BTreeMap<TopicPartition, u64>> {
    let mut positions = BTreeMap::new();
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    for number in numbers.rev() {
        let partition = TopicPartition::new(arguments.topic.as_str(), number);
        let (start, end) = (reader.start_offset(&partition)?, reader.committed_end_offset(&partition)?);
        let printed = left.min(end - start);
        left -= printed;
        positions.insert(partition, end - printed);
    }
    Ok(positions)
}

/// A record as a line. JSON is put together by hand around the value's own JSON, whose field order is kept.
fn line(record: &Record, format: OutputFormat) -> String {
    let position = format!("{}/{}@{}", record.topic, record.partition, record.offset);
    let key = record.key.as_deref().map(String::from_utf8_lossy);
    let value = value_json(record);
    let timestamp = Timestamp::from_millis(record.timestamp_ms).unwrap_or_default();
    match format {
        OutputFormat::Human => {
            let headers: String = record
                .headers
                .iter()
                .map(|header| format!("  {}={}", header.name, String::from_utf8_lossy(&header.value)))
                .collect();
            format!("{position}  {timestamp}  {}{headers}\n  {value}", key.as_deref().unwrap_or("-"))
        }
        OutputFormat::Json => {
            let headers: BTreeMap<&str, String> = record
                .headers
                .iter()
                .map(|header| (&*header.name, String::from_utf8_lossy(&header.value).into_owned()))
                .collect();
            let quoted = |text: &str| serde_json::to_string(text).expect("text becomes JSON");
            let key = key.map_or_else(|| "null".to_owned(), |key| quoted(&key));
            let headers = serde_json::to_string(&headers).expect("a map of text becomes JSON");
            format!(
                r#"{{"topic":{},"partition":{},"offset":{},"timestamp":{},"key":{key},"headers":{headers},"value":{value}}}"#,
                quoted(&record.topic),
                record.partition,
                record.offset,
                quoted(&timestamp.to_string()),
            )
        }
    }
}

/// The value as JSON; bytes that are no known record as `{"undecodable_hex": ...}`.
fn value_json(record: &Record) -> String {
    let Some(value) = &record.value else { return "null".to_owned() };
    settle_schema::to_json_string(value).unwrap_or_else(|_| {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#"{{"undecodable_hex":"{hex}"}}"#)
    })
}
