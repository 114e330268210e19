//! The records of an input topic, and which of them were decided. Must not know what a decision is.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::avro::{self, Decoder};
use super::finding::{Findings, Invariant, Place};
use super::read::Read;
use super::records::SourcePosition;

/// An input record; its value is none where it cannot be read.
pub(super) struct InputRecord<T> {
    pub(super) offset: i64,
    pub(super) value: Option<T>,
    decisions: u32,
}

/// The records of one input topic.
pub(super) struct Inputs<T> {
    pub(super) topic: &'static str,
    partitions: BTreeMap<i32, Vec<InputRecord<T>>>,
}

impl<T: DeserializeOwned> Inputs<T> {
    pub(super) fn read(read: &Read, topic: &'static str) -> Self {
        let schema = avro::schema(topic);
        let decoder = Decoder::new(&schema);
        let mut partitions = BTreeMap::new();
        for (partition, content) in read.partitions(topic) {
            let input = |record: &super::read::Record| InputRecord {
                offset: record.offset,
                value: decoder.decode(record.value.as_deref()).ok(),
                decisions: 0,
            };
            partitions.insert(partition, content.records.iter().map(input).collect());
        }
        Self { topic, partitions }
    }
}

impl<T> Inputs<T> {
    /// The records with their partitions, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (i32, &InputRecord<T>)> {
        self.partitions
            .iter()
            .flat_map(|(partition, records)| records.iter().map(|record| (*partition, record)))
    }

    pub(super) fn find(&self, position: &SourcePosition) -> Option<&InputRecord<T>> {
        let records = self.partitions.get(&position.partition)?;
        let index = records.binary_search_by_key(&position.offset, |record| record.offset).ok()?;
        records.get(index)
    }

    /// The record that an event of a journal is about. Reports one that does not exist, and a second decision.
    pub(super) fn consume(
        &mut self,
        position: &SourcePosition,
        place: Place<'_>,
        findings: &mut Findings,
    ) -> Option<&InputRecord<T>> {
        let records = self.partitions.get_mut(&position.partition).map_or(&mut [][..], Vec::as_mut_slice);
        let Ok(index) = records.binary_search_by_key(&position.offset, |record| record.offset) else {
            findings.add(Invariant::I2, place, format!("decides {}, which does not exist", shown(position)));
            return None;
        };
        let record = records.get_mut(index)?;
        record.decisions += 1;
        if record.decisions > 1 {
            let detail = format!("decides {} for the {}th time", shown(position), record.decisions);
            findings.add(Invariant::I2, place, detail);
        }
        Some(record)
    }

    /// Reports the records without a decision.
    pub(super) fn report_missing(&self, findings: &mut Findings) {
        for (partition, record) in self.records().filter(|(_, record)| record.decisions == 0) {
            let place = Place { topic: self.topic, partition, offset: record.offset };
            findings.add(Invariant::I2, place, "has no decision");
        }
    }
}

pub(super) fn shown(position: &SourcePosition) -> String {
    Place { topic: &position.topic, partition: position.partition, offset: position.offset }.to_string()
}
