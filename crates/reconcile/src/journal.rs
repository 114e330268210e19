//! Reads one partition of a journal: its sequence, its inputs, what it calls for elsewhere; and decides it again.
//!
//! Where the journal and the decision differ, the audit goes on with what was decided here: one changed record is then one
//! finding, and not one for each that follows. Where that is not possible (a record is missing, or cannot be read), the state
//! is not known any more: what follows is read and compared with the outputs, but not decided again.

mod input;
mod redecide;

use std::collections::{BTreeMap, VecDeque};

use settle_log::{Record, TopicPartition};

use crate::expected::{Cause, Expected, Route, projected};
use crate::finding::{Finding, Kind, Place, Side};
use crate::replica::Replica;
use crate::report::NotChecked;
use crate::run::{Run, WAIT};
use crate::stages::Audited;
use crate::stream::Stream;
use crate::{Error, FoldState};

/// How far ahead a record is looked for that should stand here.
const LOOK_AHEAD: usize = 64;

/// What is known of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It is that of the worker.
    Known,
    /// Nothing, for this reason.
    Unknown(NotChecked),
}

/// A journal record as it was read.
struct Read<S: Audited> {
    record: Record,
    /// The event, or why the record is none.
    event: Result<S::Event, String>,
    /// A finding says already that it stands in the wrong place.
    is_reported: bool,
}

impl<S: Audited> Read<S> {
    fn sequence(&self) -> Option<i64> {
        self.event.as_ref().ok().map(|event| S::envelope(event).sequence)
    }
}

/// The reading of one partition.
pub(crate) struct Journal<'r, 'a, S: Audited> {
    run: &'r mut Run<'a>,
    number: u32,
    /// Its records have the time of their arrival, not that of their event.
    stamps_arrival: bool,
    stream: Stream<'a>,
    /// Records read ahead.
    window: VecDeque<Read<S>>,
    inputs: BTreeMap<&'static str, Stream<'a>>,
    /// By input topic: the offset after the last record that was decided.
    positions: BTreeMap<&'static str, u64>,
    replica: Replica<S>,
    mode: Mode,
    /// Further events of the command at hand, and what caused it.
    pending: VecDeque<S::Event>,
    pending_cause: Cause,
    /// The first event of the command at hand was folded and not decided again, for this reason.
    folded_for: Option<NotChecked>,
    /// Input records that were passed over because the journal had decided others in their place.
    displaced: Vec<Record>,
    /// How far the stage's group had read its inputs before the journal was read.
    group: BTreeMap<TopicPartition, u64>,
}

/// Reads a partition of a stage's journal.
pub(crate) fn read<S: Audited>(
    run: &mut Run<'_>,
    number: u32,
    state: Box<dyn FoldState<S::Row>>,
    group: &BTreeMap<TopicPartition, u64>,
) -> Result<(), Error> {
    let stream = Stream::open(&run.readers, TopicPartition::new(S::JOURNAL, number))?;
    run.journal_ends.insert((S::ID, number), stream.end());
    let mut mode = Mode::Known;
    if stream.start() > 0 {
        mode = Mode::Unknown(NotChecked::JournalExpired);
        run.late_journals.insert((S::ID, number));
    }
    let stamps_arrival = run.stamps_arrival(S::JOURNAL)?;
    let journal = Journal::<S> {
        run,
        stamps_arrival,
        number,
        stream,
        window: VecDeque::new(),
        inputs: BTreeMap::new(),
        positions: BTreeMap::new(),
        replica: Replica::new(number, state),
        mode,
        pending: VecDeque::new(),
        pending_cause: Cause::None,
        folded_for: None,
        displaced: Vec::new(),
        group: group.clone().into_iter().filter(|(input, _)| input.partition == number).collect(),
    };
    journal.read()
}

impl<S: Audited> Journal<'_, '_, S> {
    fn read(mut self) -> Result<(), Error> {
        let mut next_sequence = if self.mode == Mode::Known { Some(0) } else { None };
        while self.fill(0)? || self.goes_on()? {
            // The record after it has something to say about its clock.
            self.fill(1)?;
            let front = &self.window[0];
            let Some(sequence) = front.sequence() else {
                self.unreadable();
                next_sequence = next_sequence.map(|expected| expected + 1);
                continue;
            };
            let expected = next_sequence.unwrap_or(sequence);
            let Some(index) = self.find(expected, sequence)? else {
                if sequence > expected {
                    // Records are missing before this one.
                    next_sequence = Some(sequence);
                }
                continue;
            };
            let read = self.window.remove(index).expect("it was found there");
            self.take(read, expected)?;
            next_sequence = Some(expected + 1);
        }
        self.end()
    }

    /// At the end of the journal: the group may have read inputs whose events are not visible yet, since a commit reaches one
    /// partition after the other. True if there is more to read after all.
    fn goes_on(&mut self) -> Result<bool, Error> {
        for _ in 0..self.run.waits() {
            if self.behind_group().is_none() {
                return Ok(false);
            }
            std::thread::sleep(WAIT);
            if self.stream.extend()? {
                self.run.journal_ends.insert((S::ID, self.number), self.stream.end());
                if self.fill(0)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// An input that the group has read further than the journal has decided it: both positions.
    fn behind_group(&self) -> Option<(&TopicPartition, u64, u64)> {
        self.group.iter().find_map(|(input, read)| {
            let decided = self.positions.get(&*input.topic).copied().unwrap_or_default();
            (*read > decided).then_some((input, *read, decided))
        })
    }

    /// Reads ahead; true if there is a record at this distance.
    fn fill(&mut self, distance: usize) -> Result<bool, Error> {
        while self.window.len() <= distance {
            let Some(record) = self.stream.next()? else { return Ok(false) };
            self.run.read(S::JOURNAL);
            let value = record.value.as_deref().unwrap_or_default();
            let event = crate::codec::decode::<S::Event>(value).map_err(|error| error.to_string());
            self.window.push_back(Read { record, event, is_reported: false });
        }
        Ok(true)
    }

    fn unreadable(&mut self) {
        let read = self.window.pop_front().expect("it was looked at");
        let why = read.event.err().unwrap_or_default();
        let place = Place::of(&read.record);
        let side = Side::of(&read.record);
        self.run.findings.add(Finding::new(Kind::Unreadable, place, why).found(Some(side)));
        self.lose(NotChecked::AfterDamage);
    }

    /// From here on the state is not known.
    fn lose(&mut self, reason: NotChecked) {
        if self.mode == Mode::Known {
            self.mode = Mode::Unknown(reason);
        }
        if reason == NotChecked::AfterDamage {
            self.run.findings.lost(S::JOURNAL, self.number);
        }
        self.pending.clear();
    }

    /// Which record of the window is the one with the expected sequence; none: the front was dealt with.
    fn find(&mut self, expected: i64, sequence: i64) -> Result<Option<usize>, Error> {
        if sequence == expected {
            return Ok(Some(0));
        }
        self.fill(LOOK_AHEAD)?;
        let place = Place::of(&self.window[0].record);
        let elsewhere = self.window.iter().position(|read| read.sequence() == Some(expected));
        let next = self.window.get(1).and_then(Read::sequence);
        if elsewhere.is_none() && next == Some(expected + 1) {
            // Its number alone is wrong: the comparison says so.
            return Ok(Some(0));
        }
        if sequence < expected {
            let read = self.window.pop_front().expect("it was looked at");
            if !read.is_reported {
                let detail = format!("I11: sequence {sequence} stood before; {expected} was expected");
                let found = Side::of(&read.record);
                let finding = Finding::new(Kind::Sequence, place, detail).found(Some(found));
                self.run.findings.add(finding);
            }
            return Ok(None);
        }
        if let Some(index) = elsewhere {
            if !self.window[0].is_reported {
                self.window[0].is_reported = true;
                let right = &self.window[index].record;
                let detail = format!(
                    "I11: sequence {sequence} stands where {expected} was expected, which stands at offset {}",
                    right.offset
                );
                let sides = (Side::of(right), Side::of(&self.window[0].record));
                let finding = Finding::new(Kind::Sequence, place, detail);
                self.run.findings.add(finding.expected(Some(sides.0)).found(Some(sides.1)));
            }
            return Ok(Some(index));
        }
        let missing = sequence - expected;
        let detail =
            format!("I11: sequence {sequence} stands where {expected} was expected: {missing} missing");
        let found = Side::of(&self.window[0].record);
        self.run.findings.add(Finding::new(Kind::Sequence, place, detail).found(Some(found)));
        self.lose(NotChecked::AfterDamage);
        Ok(None)
    }

    /// Takes the event with this sequence.
    fn take(&mut self, read: Read<S>, sequence: i64) -> Result<(), Error> {
        let Read { record, event, is_reported } = read;
        let event = event.expect("what does not decode has no sequence");
        let place = Place::of(&record);
        let envelope = S::envelope(&event);
        let is_checked = self.run.judges(envelope.now.as_millis());
        if self.mode != Mode::Known && envelope.sequence != sequence && !is_reported {
            let detail = format!("I11: sequence {} stands where {sequence} was expected", envelope.sequence);
            let found = Side::of(&record);
            self.run.findings.add(Finding::new(Kind::Sequence, place.clone(), detail).found(Some(found)));
        }
        self.run.checked.events += u64::from(is_checked);
        S::note(self.run, &event, &place, is_checked)?;
        if !is_checked {
            return self.fold_only(&record, &event, NotChecked::BeforeSince);
        }
        let taken = match self.mode {
            Mode::Known => self.redecide(&record, event)?,
            Mode::Unknown(reason) => {
                self.run.skip(reason, place, None);
                self.take_unknown(&record, event)?
            }
        };
        if let Some((event, cause, is_first)) = taken {
            self.call_for(&record, &event, &cause, is_first)?;
        }
        self.replica.persist(record.offset + 1)
    }

    /// Folds an event without judging it.
    fn fold_only(&mut self, record: &Record, event: &S::Event, reason: NotChecked) -> Result<(), Error> {
        let place = Place::of(record);
        let version = (reason == NotChecked::LogicVersion).then(|| S::logic_version(event).to_string());
        self.run.skip(reason, place, version);
        self.pending.clear();
        if let Some(input) = S::envelope(event).input {
            self.consumed(input);
        }
        if self.mode == Mode::Known && !self.fold_read(record, event)? {
            return Ok(());
        }
        self.replica.persist(record.offset + 1)
    }

    /// Folds an event that was not decided here; false: it contradicts the state.
    fn fold_read(&mut self, record: &Record, event: &S::Event) -> Result<bool, Error> {
        if S::envelope(event).min_fold_version > settle_engine::FOLD_VERSION {
            self.run.skip(NotChecked::NewerFold, Place::of(record), None);
            self.lose(NotChecked::NewerFold);
            return Ok(false);
        }
        let is_folded = self.replica.fold_read(event)?;
        if !is_folded {
            let detail = "the event contradicts those before it: it cannot be folded into the state";
            let finding = Finding::new(Kind::Redecision, Place::of(record), detail);
            self.run.findings.add(finding.found(Some(Side::of(record))));
            self.lose(NotChecked::AfterDamage);
        }
        Ok(is_folded)
    }

    /// Notes the records that an event calls for.
    fn call_for(
        &mut self,
        record: &Record,
        event: &S::Event,
        cause: &Cause,
        is_first: bool,
    ) -> Result<(), Error> {
        let counts = &self.run.counts;
        let count_of = |topic: &str| counts.get(topic).copied().unwrap_or(1);
        let records = projected::<S>(event, cause, is_first, self.number, &count_of, false);
        for (ordinal, called) in records.into_iter().enumerate() {
            let route = Route {
                topic: called.topic,
                partition: called.partition,
                stage: S::ID,
                journal_partition: self.number,
            };
            let expected = Expected {
                coverage: cause.coverage(),
                digest: called.digest,
                timestamp_ms: S::envelope(event).now.as_millis(),
                journal_offset: record.offset,
                ordinal: u8::try_from(ordinal).expect("an event calls for a few records"),
            };
            self.run.expected.append(&route, &expected.to_bytes())?;
        }
        Ok(())
    }

    /// What stands behind the last event.
    fn end(mut self) -> Result<(), Error> {
        if let (Mode::Known, Some(expected)) = (self.mode, self.pending.front()) {
            let place = Place::new(S::JOURNAL, self.number, self.stream.end());
            let detail = "the last command has a further event, which is not there";
            let side = self.side_of(expected, &Cause::None, false);
            self.run.findings.add(Finding::new(Kind::Redecision, place, detail).expected(Some(side)));
        }
        if let Some((input, read, decided)) = self.behind_group() {
            let detail = format!(
                "the group has read {input} up to {read}, the journal has decided it up to {decided}: its end is missing"
            );
            let place = Place::new(S::JOURNAL, self.number, self.stream.end());
            self.run.findings.add(Finding::new(Kind::Missing, place, detail));
            self.run.findings.lost(S::JOURNAL, self.number);
        }
        for topic in [S::PRIMARY].iter().chain(S::SECONDARIES) {
            let mut stream = match self.inputs.remove(topic) {
                Some(stream) => stream,
                None => Stream::open(&self.run.readers, TopicPartition::new(*topic, self.number))?,
            };
            let position = self.positions.get(topic).copied().unwrap_or_default().max(stream.start());
            self.run.checked.inputs_waiting += stream.count_from(position)?;
            stream.close()?;
        }
        self.stream.close()
    }
}
