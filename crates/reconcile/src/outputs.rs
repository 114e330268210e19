//! Compares a partition of an output topic with what the journals call for.
//!
//! The records of one journal partition stand there in its order; how those of several journal partitions interleave is in
//! no journal. So each record is looked for among the next ones of the journal partition that it names. What is passed over
//! is missing, replaced by what stands there instead, or comes later, out of order: that is told when it is known.

use std::collections::{BTreeMap, VecDeque};

use settle_codec::unsigned_offset;
use settle_engine::Stage;
use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_log::{Record, TopicPartition, partition_for_key};
use settle_types::authorize::{PaymentApproved, PaymentResult};
use settle_types::topic::{self, header};

use crate::Error;
use crate::expected::{Cause, Coverage, EXPECTED_BYTES, Expected, Route, StageId, digest_of, projected};
use crate::finding::{Finding, Kind, Place, Side};
use crate::ledger::LedgerPartition;
use crate::report::NotChecked;
use crate::run::{Run, WAIT};
use crate::sorted::Hash;
use crate::spill::SpillReader;
use crate::stages::Audited;
use crate::stream::Stream;

/// How far ahead a record is looked for.
const LOOK_AHEAD: usize = 4_096;
/// Records of a journal partition that are remembered to tell a doubled one.
const RECENT: usize = 64;
/// Records that fit nowhere, and those that were passed over, which are kept to be told; beyond, they are told at once.
const OPEN_MOST: usize = 1_000;
/// Whose journal calls for a record.
type SourceId = (StageId, u32);

/// What one journal partition calls for.
struct Source {
    reader: SpillReader,
    ahead: VecDeque<Expected>,
    passed_over: Vec<PassedOver>,
    recent: VecDeque<Hash>,
    /// Offset after the last record that was found.
    after_last: u64,
    has_found: bool,
    first_found: Option<u64>,
}

/// Expected, but another record came.
struct PassedOver {
    expected: Expected,
    /// It stands nowhere before.
    from: u64,
    /// The record that came.
    instead: Record,
}

/// A record that fits nowhere.
struct Stray {
    source: Option<SourceId>,
    record: Record,
}

/// The comparison of one partition.
struct Comparison<'r, 'a> {
    run: &'r mut Run<'a>,
    topic: &'static str,
    partition: u32,
    start: u64,
    /// Records have the time of their arrival, not that of their event.
    stamps_arrival: bool,
    sources: BTreeMap<SourceId, Source>,
    strays: Vec<Stray>,
    /// Where journal partitions end now: they may have gone on since they were read.
    present_ends: BTreeMap<SourceId, u64>,
}

/// Compares one partition of a topic; `ledger` judges the records of the ledger by themselves.
pub(crate) fn compare(
    run: &mut Run<'_>,
    topic: &'static str,
    partition: u32,
    mut ledger: Option<&mut LedgerPartition>,
) -> Result<(), Error> {
    let mut stream = Stream::open(&run.readers, TopicPartition::new(topic, partition))?;
    let (first, last) = Route::bounds(topic, partition);
    let routes: Vec<Route> = run.expected.keys_between(first, last).copied().collect();
    let stamps_arrival = run.stamps_arrival(topic)?;
    let mut comparison = Comparison {
        run,
        topic,
        partition,
        start: stream.start(),
        stamps_arrival,
        sources: BTreeMap::new(),
        strays: Vec::new(),
        present_ends: BTreeMap::new(),
    };
    for route in routes {
        comparison.source((route.stage, route.journal_partition))?;
    }
    let mut waits = 0;
    loop {
        while let Some(record) = stream.next()? {
            comparison.run.read(topic);
            if let Some(ledger) = &mut ledger {
                ledger.take(comparison.run, &record);
            }
            if comparison.run.judges(record.timestamp_ms) {
                comparison.take(record)?;
            }
        }
        if waits == comparison.run.waits() || !comparison.expects_more()? {
            break;
        }
        waits += 1;
        std::thread::sleep(WAIT);
        if stream.extend()? {
            waits = 0;
        }
    }
    let end = stream.end();
    stream.close()?;
    comparison.end(end)
}

impl Comparison<'_, '_> {
    fn source(&mut self, id: SourceId) -> Result<&mut Source, Error> {
        if !self.sources.contains_key(&id) {
            let (stage, journal_partition) = id;
            let route = Route { topic: self.topic, partition: self.partition, stage, journal_partition };
            let source = Source {
                reader: self.run.expected.take(&route)?,
                ahead: VecDeque::new(),
                passed_over: Vec::new(),
                recent: VecDeque::new(),
                after_last: self.start,
                has_found: false,
                first_found: None,
            };
            self.sources.insert(id, source);
        }
        Ok(self.sources.get_mut(&id).expect("it was put there"))
    }

    fn expects_more(&mut self) -> Result<bool, Error> {
        for source in self.sources.values_mut() {
            if source.peek(0)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take(&mut self, record: Record) -> Result<(), Error> {
        self.run.checked.outputs += 1;
        let Some(id) = source_of(&record, self.run) else {
            self.stray(None, record);
            return Ok(());
        };
        let source = self.source(id)?;
        if let Some(distance) = source.distance(&record)? {
            let from = source.after_last;
            let is_expired = !source.has_found && self.start > 0;
            let source = self.sources.get_mut(&id).expect("it was looked at");
            let passed: Vec<Expected> = source.ahead.drain(..distance).collect();
            let found = source.ahead.pop_front().expect("it was found there");
            source.found(found.digest, record.offset);
            self.check_time(id, &found, &record)?;
            for expected in passed {
                self.passed_over(id, expected, from, &record, is_expired)?;
            }
            return Ok(());
        }
        if let Some(index) = source.late(&record) {
            let late = source.passed_over.remove(index);
            source.remember(late.expected.digest);
            return self.out_of_order(id, &late, &record);
        }
        let digest = digest_of(&record, Coverage::Whole);
        if source.recent.contains(&digest) {
            let detail = "the same record stands before it: it was doubled";
            let finding = self.finding(Kind::Extra, Place::of(&record), detail, id, None);
            self.run.findings.add(finding.found(Some(Side::of(&record))));
            return Ok(());
        }
        self.stray(Some(id), record);
        Ok(())
    }

    /// The right record at the wrong time is another one. Kafka's client takes the time 0 for "now", and some topics have the
    /// time of arrival.
    fn check_time(&mut self, id: SourceId, expected: &Expected, record: &Record) -> Result<(), Error> {
        let is_right = record.timestamp_ms == expected.timestamp_ms || expected.timestamp_ms == 0;
        if is_right || self.stamps_arrival {
            return Ok(());
        }
        let side = self.side_of(id, expected, Kind::Differs)?;
        let detail = "the record has another time than the journal calls for";
        let finding = self.finding(Kind::Differs, Place::of(record), detail, id, Some(expected));
        self.run.findings.add(finding.expected(side).found(Some(Side::of(record))));
        Ok(())
    }

    fn stray(&mut self, source: Option<SourceId>, record: Record) {
        self.strays.push(Stray { source, record });
        if self.strays.len() > OPEN_MOST {
            let stray = self.strays.remove(0);
            self.extra(&stray);
        }
    }

    fn finding(
        &self,
        kind: Kind,
        place: Place,
        detail: impl Into<String>,
        (stage, journal_partition): SourceId,
        expected: Option<&Expected>,
    ) -> Finding {
        let offset = expected.map_or(0, |expected| expected.journal_offset);
        let source = Place::new(stage.journal(), journal_partition, offset);
        let mut finding = Finding::new(kind, place, detail).source(Some(source));
        finding.from_lost_journal = true;
        finding
    }

    /// Another record came where this one was expected.
    fn passed_over(
        &mut self,
        id: SourceId,
        expected: Expected,
        from: u64,
        instead: &Record,
        is_expired: bool,
    ) -> Result<(), Error> {
        if is_expired {
            let place = Place::new(id.0.journal(), id.1, expected.journal_offset);
            self.run.skip(NotChecked::OutputExpired, place, Some(self.topic.to_owned()));
            return Ok(());
        }
        if self.replaced(id, &expected, from, instead.offset)? {
            return Ok(());
        }
        let passed = PassedOver { expected, from, instead: instead.clone() };
        let source = self.source(id)?;
        source.passed_over.push(passed);
        if source.passed_over.len() > OPEN_MOST {
            let oldest = source.passed_over.remove(0);
            self.missing(id, &oldest.expected, oldest.from, oldest.instead.offset)?;
        }
        Ok(())
    }

    /// True if a record that fits nowhere stands where this one was expected: then it differs.
    fn replaced(&mut self, id: SourceId, expected: &Expected, from: u64, until: u64) -> Result<bool, Error> {
        let is_of = |stray: &Stray| stray.source.is_none_or(|source| source == id);
        let is_there = |stray: &Stray| (from..until).contains(&stray.record.offset);
        // One that names another journal partition may have been changed in just that.
        let index = self
            .strays
            .iter()
            .position(|stray| is_there(stray) && is_of(stray))
            .or_else(|| self.strays.iter().position(is_there));
        let Some(index) = index else { return Ok(false) };
        let stray = self.strays.remove(index);
        let side = self.side_of(id, expected, Kind::Differs)?;
        let detail = "the record is not the one that the journal calls for";
        let finding = self.finding(Kind::Differs, Place::of(&stray.record), detail, id, Some(expected));
        self.run.findings.add(finding.expected(side).found(Some(Side::of(&stray.record))));
        Ok(true)
    }

    fn out_of_order(&mut self, id: SourceId, late: &PassedOver, record: &Record) -> Result<(), Error> {
        let side = self.side_of(id, &late.expected, Kind::Order)?;
        let detail = format!("the record that was expected here stands at offset {}", record.offset);
        let finding = self.finding(Kind::Order, Place::of(&late.instead), detail, id, Some(&late.expected));
        self.run.findings.add(finding.expected(side).found(Some(Side::of(&late.instead))));
        Ok(())
    }

    fn missing(&mut self, id: SourceId, expected: &Expected, from: u64, at: u64) -> Result<(), Error> {
        let side = self.side_of(id, expected, Kind::Missing)?;
        let place = Place::new(self.topic, self.partition, at);
        let detail = "a record that the journal calls for is not there";
        let mut finding = self.finding(Kind::Missing, place, detail, id, Some(expected));
        finding.first_possible_offset = (from < at).then_some(from);
        self.run.findings.add(finding.expected(side));
        Ok(())
    }

    fn extra(&mut self, stray: &Stray) {
        let place = Place::of(&stray.record);
        let detail = "no journal calls for this record";
        let finding = match stray.source {
            Some(id) => self.finding(Kind::Extra, place, detail, id, None),
            None => Finding::new(Kind::Extra, place, detail),
        };
        self.run.findings.add(finding.found(Some(Side::of(&stray.record))));
    }

    /// The end of the partition: what is still open is told.
    fn end(mut self, end: u64) -> Result<(), Error> {
        let ids: Vec<SourceId> = self.sources.keys().copied().collect();
        for id in ids {
            let source = self.source(id)?;
            let (from, has_found) = (source.after_last, source.has_found);
            while let Some(expected) = self.source(id)?.next()? {
                if !has_found && self.start > 0 {
                    let place = Place::new(id.0.journal(), id.1, expected.journal_offset);
                    self.run.skip(NotChecked::OutputExpired, place, Some(self.topic.to_owned()));
                } else if !self.replaced(id, &expected, from, end)? {
                    self.missing(id, &expected, from, end)?;
                }
            }
            for passed in std::mem::take(&mut self.source(id)?.passed_over) {
                self.missing(id, &passed.expected, passed.from, passed.instead.offset)?;
            }
        }
        for stray in std::mem::take(&mut self.strays) {
            match self.excuse(&stray)? {
                Some(reason) => self.run.skip(reason, Place::of(&stray.record), None),
                None => self.extra(&stray),
            }
        }
        Ok(())
    }

    /// Why the journal, as far as it was read, does not call for a record, and yet nothing is wrong.
    fn excuse(&mut self, stray: &Stray) -> Result<Option<NotChecked>, Error> {
        let Some(id) = stray.source else { return Ok(None) };
        let (has_found, after_last) =
            self.sources.get(&id).map_or((false, 0), |source| (source.has_found, source.after_last));
        if self.run.late_journals.contains(&id) && (!has_found || stray.record.offset < after_last) {
            return Ok(Some(NotChecked::JournalExpired));
        }
        let is_first = stray.record.offset
            < self.sources.get(&id).map_or(0, |source| source.first_found.unwrap_or(u64::MAX));
        if self.run.since_ms.is_some() && self.stamps_arrival && is_first {
            // It arrived since then, and was journaled before.
            return Ok(Some(NotChecked::BeforeSince));
        }
        let Some(read_to) = self.run.journal_ends.get(&id).copied() else { return Ok(None) };
        if stray.record.offset < after_last {
            return Ok(None);
        }
        let end = match self.present_ends.get(&id) {
            Some(end) => *end,
            None => {
                let journal = TopicPartition::new(id.0.journal(), id.1);
                let (_, end) = self.run.readers.bounds(&journal)?;
                *self.present_ends.entry(id).or_insert(end)
            }
        };
        Ok((end > read_to).then_some(NotChecked::AfterBegin))
    }

    /// The record that is expected, made again from its journal record.
    fn side_of(&mut self, id: SourceId, expected: &Expected, kind: Kind) -> Result<Option<Side>, Error> {
        if !self.run.findings.keeps(kind) {
            return Ok(None);
        }
        let side = match id.0 {
            StageId::Authorize => self.side_of_stage::<Authorize>(id.1, expected)?,
            StageId::Settle => self.side_of_stage::<Settle>(id.1, expected)?,
        };
        Ok(Some(side.unwrap_or_else(|| {
            Side::words(
                "the journal record that calls for it has a finding of its own: its record cannot be shown",
            )
        })))
    }

    fn side_of_stage<S: Audited>(&self, number: u32, expected: &Expected) -> Result<Option<Side>, Error> {
        let journal = TopicPartition::new(S::JOURNAL, number);
        let Some(record) = self.run.readers.record_at(journal, expected.journal_offset)? else {
            return Ok(None);
        };
        let Ok(event) = crate::codec::decode::<S::Event>(record.value.as_deref().unwrap_or_default()) else {
            return Ok(None);
        };
        let cause = match (S::envelope(&event).input, expected.coverage) {
            (Some(input), Coverage::Whole) => {
                let partition = TopicPartition::new(input.topic.as_str(), number);
                let offset = unsigned_offset(input.offset.max(0));
                self.run.readers.record_at(partition, offset)?.map_or(Cause::None, Cause::Record)
            }
            (Some(input), Coverage::WithoutInput) => Cause::Gone(input.clone()),
            (None, _) => Cause::None,
        };
        let counts = &self.run.counts;
        let count_of = |topic: &str| counts.get(topic).copied().unwrap_or(1);
        let records = projected::<S>(&event, &cause, true, number, &count_of, true);
        let called = records.into_iter().nth(usize::from(expected.ordinal));
        Ok(called.filter(|called| called.digest == expected.digest).and_then(|called| called.side))
    }
}

impl Source {
    fn peek(&mut self, distance: usize) -> Result<Option<&Expected>, Error> {
        while self.ahead.len() <= distance {
            let Some(bytes) = self.reader.read(EXPECTED_BYTES)? else { return Ok(None) };
            self.ahead.push_back(Expected::from_bytes(bytes));
        }
        Ok(self.ahead.get(distance))
    }

    fn next(&mut self) -> Result<Option<Expected>, Error> {
        self.peek(0)?;
        Ok(self.ahead.pop_front())
    }

    /// How many expected records stand before this one.
    fn distance(&mut self, record: &Record) -> Result<Option<usize>, Error> {
        let mut digests = Digests::of(record);
        for distance in 0..LOOK_AHEAD {
            let Some(expected) = self.peek(distance)? else { return Ok(None) };
            if digests.are_of(expected) {
                return Ok(Some(distance));
            }
        }
        Ok(None)
    }

    /// Which of the records that were passed over this one is.
    fn late(&self, record: &Record) -> Option<usize> {
        let mut digests = Digests::of(record);
        self.passed_over.iter().position(|passed| digests.are_of(&passed.expected))
    }

    fn found(&mut self, digest: Hash, offset: u64) {
        self.after_last = offset + 1;
        self.has_found = true;
        self.first_found.get_or_insert(offset);
        self.remember(digest);
    }

    fn remember(&mut self, digest: Hash) {
        self.recent.push_back(digest);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
}

/// Digests of a record; the second one is rarely asked for.
struct Digests<'a> {
    record: &'a Record,
    whole: Hash,
    partial: Option<Hash>,
}

impl<'a> Digests<'a> {
    fn of(record: &'a Record) -> Self {
        Self { record, whole: digest_of(record, Coverage::Whole), partial: None }
    }

    fn are_of(&mut self, expected: &Expected) -> bool {
        match expected.coverage {
            Coverage::Whole => expected.digest == self.whole,
            Coverage::WithoutInput => {
                let partial = || digest_of(self.record, Coverage::WithoutInput);
                expected.digest == *self.partial.get_or_insert_with(partial)
            }
        }
    }
}

/// The journal partition that a record says it is from.
fn source_of(record: &Record, run: &Run<'_>) -> Option<SourceId> {
    let value = record.value.as_deref().unwrap_or_default();
    match &*record.topic {
        topic::APPROVED => {
            let approved: PaymentApproved = crate::codec::decode(value).ok()?;
            // A decision is named after its input record: topic, partition, offset.
            let mut parts = approved.decision_id.as_str().rsplit('-').skip(1);
            Some((StageId::Authorize, parts.next()?.parse().ok()?))
        }
        topic::RESULTS => {
            let result: PaymentResult = crate::codec::decode(value).ok()?;
            let merchant = result.approved.merchant_id.as_str().as_bytes();
            Some((StageId::Settle, partition_for_key(merchant, run.count(Settle::PRIMARY))))
        }
        topic::DEAD_LETTER | topic::REROUTED => {
            let text = |name: &str| {
                let found = record.headers.iter().find(|header| &*header.name == name)?;
                std::str::from_utf8(&found.value).ok()
            };
            let is_settle = text(header::SOURCE_TOPIC)? == Settle::PRIMARY;
            let stage = if is_settle { StageId::Settle } else { StageId::Authorize };
            Some((stage, text(header::SOURCE_PARTITION)?.parse().ok()?))
        }
        _ => Some((StageId::Settle, record.partition)),
    }
}
