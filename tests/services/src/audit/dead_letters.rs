//! The dead letters: one for each record that was not taken, with its bytes as they came and the reason.

use std::collections::BTreeMap;

use super::finding::{Findings, Invariant, Place};
use super::input::shown;
use super::read::{Read, Record};
use super::records::SourcePosition;
use super::report::Report;
use super::topic;

/// Headers of a dead letter (schemas.md: dead letters; they are part of the public contract).
mod header {
    pub(super) const SOURCE_TOPIC: &str = "settle.source.topic";
    pub(super) const SOURCE_PARTITION: &str = "settle.source.partition";
    pub(super) const SOURCE_OFFSET: &str = "settle.source.offset";
    pub(super) const CODE: &str = "settle.code";
    pub(super) const REASON: &str = "settle.reason";
    pub(super) const MASKED: &str = "settle.masked";
    pub(super) const ORIGINAL_HASH: &str = "settle.original.blake3";
}

struct Expected {
    code: Option<String>,
    may_be_masked: bool,
    found: u32,
}

/// What must be among the dead letters.
#[derive(Default)]
pub(super) struct DeadLetters {
    expected: BTreeMap<SourcePosition, Expected>,
}

impl DeadLetters {
    /// A record that was not taken. Where it passed validation, no card number can stand in it, so that nothing
    /// is masked.
    pub(super) fn expect(&mut self, source: &SourcePosition, code: Option<String>, may_be_masked: bool) {
        let expected = Expected { code, may_be_masked, found: 0 };
        self.expected.insert(source.clone(), expected);
    }

    /// Judges the dead letters of the sources that were judged.
    pub(super) fn check(
        &mut self,
        read: &Read,
        sources: &[&str],
        findings: &mut Findings,
        report: &mut Report,
    ) {
        report.dead_letters = read.count(topic::DEAD_LETTER);
        for (partition, record) in read.records(topic::DEAD_LETTER) {
            let place = Place { topic: topic::DEAD_LETTER, partition, offset: record.offset };
            let Some(source) = source_of(record) else {
                findings.add(Invariant::DeadLetter, place, "does not say where it came from");
                continue;
            };
            if sources.contains(&source.topic.as_str()) {
                self.letter(read, place, record, &source, findings);
            }
        }
        for (source, _) in self.expected.iter().filter(|(_, expected)| expected.found == 0) {
            findings.add(Invariant::DeadLetter, shown(source), "was not taken and has no dead letter");
        }
    }

    fn letter(
        &mut self,
        read: &Read,
        place: Place<'_>,
        record: &Record,
        source: &SourcePosition,
        findings: &mut Findings,
    ) {
        let Some(expected) = self.expected.get_mut(source) else {
            findings.add(Invariant::DeadLetter, place, format!("{} was taken", shown(source)));
            return;
        };
        expected.found += 1;
        if expected.found > 1 {
            let detail = format!("the {}th of {}", expected.found, shown(source));
            findings.add(Invariant::DeadLetter, place, detail);
        }
        findings.equal(Invariant::DeadLetter, place, "partition", &place.partition, &source.partition);
        findings.equal(Invariant::DeadLetter, place, "code", &record.header(header::CODE), &expected.code);
        if record.header(header::REASON).is_none_or(|reason| reason.is_empty()) {
            findings.add(Invariant::DeadLetter, place, "has no reason");
        }
        let Some(original) = read.find(&source.topic, source.partition, source.offset) else { return };
        if record.header(header::MASKED).as_deref() == Some("true") {
            if !expected.may_be_masked {
                findings.add(Invariant::DeadLetter, place, "is masked, although its source was well formed");
            }
            let hash = blake3::hash(original.value.as_deref().unwrap_or_default()).to_hex().to_string();
            let found = record.header(header::ORIGINAL_HASH);
            findings.equal(Invariant::DeadLetter, place, "hash of the original", &found, &Some(hash));
        } else if (&record.key, &record.value) != (&original.key, &original.value) {
            findings.add(Invariant::DeadLetter, place, format!("has other bytes than {}", shown(source)));
        }
    }
}

fn source_of(record: &Record) -> Option<SourcePosition> {
    Some(SourcePosition {
        topic: record.header(header::SOURCE_TOPIC)?,
        partition: record.header(header::SOURCE_PARTITION)?.parse().ok()?,
        offset: record.header(header::SOURCE_OFFSET)?.parse().ok()?,
    })
}
