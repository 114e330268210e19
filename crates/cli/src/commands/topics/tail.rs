//! `settle topics tail`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use settle_log::{Log, Reader, Record, TopicPartition};
use settle_types::Timestamp;

use crate::args::{OutputFormat, TailArguments};
use crate::failure::usage;
use crate::schemas::RecordReader;
use crate::{Ended, open, output};

/// How long `--follow` waits for records of one partition before it looks at the next.
const FOLLOW_WAIT: Duration = Duration::from_millis(100);

/// How much further back each look for the last records goes than the one before.
const STEP_GROWTH: u64 = 4;

/// Prints the records of a topic, partition by partition.
pub(super) fn tail(
    log: &dyn Log,
    records: &mut RecordReader,
    arguments: &TailArguments,
) -> anyhow::Result<Ended> {
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
                output::data(line(record, records, arguments.format)?);
                Ok(())
            };
            *next_offset = open::read_partition(&mut *reader, partition, *next_offset, print)?;
        }
        if !arguments.follow {
            return Ok(Ended::Done);
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
        let (position, found) = match arguments.limit {
            None => (reader.start_offset(&partition)?, 0),
            Some(_) => last_records(reader, &partition, left)?,
        };
        left -= found;
        positions.insert(partition, position);
    }
    Ok(positions)
}

/// The position behind which the last `limit` records of a partition stand, and how many there are. Not every offset is
/// a record: those of markers and of aborted records are not. So it looks back in growing steps until enough are found.
fn last_records(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    limit: u64,
) -> anyhow::Result<(u64, u64)> {
    let (start, end) = (reader.start_offset(partition)?, reader.committed_end_offset(partition)?);
    if limit == 0 {
        return Ok((end, 0));
    }
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut step = limit;
    loop {
        let from = end.saturating_sub(step).max(start);
        let mut last: VecDeque<u64> = VecDeque::new();
        open::read_partition(reader, partition, from, |record| {
            if last.len() == wanted {
                last.pop_front();
            }
            last.push_back(record.offset);
            Ok(())
        })?;
        if last.len() == wanted || from == start {
            let found = u64::try_from(last.len()).unwrap_or(limit);
            return Ok((last.front().copied().unwrap_or(end), found));
        }
        step = step.saturating_mul(STEP_GROWTH);
    }
}

/// A record as a line. JSON is put together by hand around the value's own JSON, whose field order is kept.
fn line(record: &Record, records: &mut RecordReader, format: OutputFormat) -> anyhow::Result<String> {
    let position = format!("{}/{}@{}", record.topic, record.partition, record.offset);
    let key = record.key.as_deref().map(String::from_utf8_lossy);
    let value = value_json(record, records)?;
    let timestamp = Timestamp::from_millis(record.timestamp_ms).unwrap_or_default();
    Ok(match format {
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
    })
}

/// The value as JSON; bytes that are no known record as `{"undecodable_hex": ...}`.
fn value_json(record: &Record, records: &mut RecordReader) -> anyhow::Result<String> {
    let Some(value) = &record.value else { return Ok("null".to_owned()) };
    Ok(records.json(value)?.unwrap_or_else(|_| {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#"{{"undecodable_hex":"{hex}"}}"#)
    }))
}

#[cfg(test)]
mod tests {
    use settle_log::{Error, PollLimit, ReadBatch};

    use super::*;

    /// A partition of which only some offsets are records, as between markers of commits.
    struct Sparse {
        start: u64,
        end: u64,
        records: Vec<u64>,
        reads: u32,
    }

    impl Reader for Sparse {
        fn start_offset(&mut self, _: &TopicPartition) -> Result<u64, Error> {
            Ok(self.start)
        }
        fn end_offset(&mut self, _: &TopicPartition) -> Result<u64, Error> {
            Ok(self.end)
        }
        fn committed_end_offset(&mut self, _: &TopicPartition) -> Result<u64, Error> {
            Ok(self.end)
        }
        fn read(
            &mut self,
            partition: &TopicPartition,
            from_offset: u64,
            _: PollLimit,
            _: Duration,
        ) -> Result<ReadBatch, Error> {
            assert!((self.start..=self.end).contains(&from_offset), "{from_offset}");
            self.reads += 1;
            let offsets = self.records.iter().filter(|offset| **offset >= from_offset);
            let records = offsets.map(|offset| Record {
                topic: partition.topic.clone(),
                partition: partition.partition,
                offset: *offset,
                timestamp_ms: 0,
                key: None,
                value: None,
                headers: Vec::new(),
            });
            Ok(ReadBatch { records: records.collect(), next_offset: self.end })
        }
    }

    #[test]
    fn the_last_records_are_found_behind_whatever_is_none() {
        let partition = TopicPartition::new("t", 0);
        let many: Vec<u64> = (100..200).filter(|offset| offset % 7 == 0).collect();
        let cases: [(&[u64], u64); 4] = [(&[], 200), (&[100], 200), (&[101, 199], 200), (&many, 1_000)];
        for (records, end) in cases {
            for limit in 0..20 {
                let mut reader = Sparse { start: 100, end, records: records.to_vec(), reads: 0 };
                let (position, found) = last_records(&mut reader, &partition, limit).expect("it reads");
                let behind = records.iter().filter(|offset| **offset >= position).count();
                let expected = records.len().min(usize::try_from(limit).expect("small"));
                assert_eq!(behind, expected, "{records:?} to {end}, the last {limit}");
                assert_eq!(found, u64::try_from(expected).expect("small"));
                assert!(reader.reads <= 7, "{} reads for {limit} of {records:?} to {end}", reader.reads);
            }
        }
    }

    #[test]
    fn where_every_offset_is_a_record_one_look_is_enough() {
        let mut reader = Sparse { start: 0, end: 50, records: (0..50).collect(), reads: 0 };
        let found = last_records(&mut reader, &TopicPartition::new("t", 0), 3).expect("it reads");
        assert_eq!((found, reader.reads), ((47, 3), 1));
    }
}
