//! The input records that a journal decided: each exactly once, in order (I2, I3, I4).

use settle_codec::signed_partition;
use settle_log::{Record, TopicPartition};
use settle_types::event::SourcePosition;

use super::{Journal, LOOK_AHEAD, Mode};
use crate::Error;
use crate::expected::Cause;
use crate::finding::{Finding, Kind, Place, Side};
use crate::stages::Audited;
use crate::stream::Stream;

/// The input record of an event.
pub(super) enum Given {
    /// It is there.
    Record(Record),
    /// The retention of its topic has removed it.
    Expired(SourcePosition),
    /// It should be there and is not.
    Absent(SourcePosition),
    /// The event names none that this partition could have decided next.
    Wrong,
}

impl Given {
    /// As the cause of an event.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Record(record) => Cause::Record(record.clone()),
            Self::Expired(position) | Self::Absent(position) => Cause::Gone(position.clone()),
            Self::Wrong => Cause::None,
        }
    }
}

impl<'a, S: Audited> Journal<'_, 'a, S> {
    /// The stage's own name of an input topic.
    pub(super) fn input_topic(name: &str) -> Option<&'static str> {
        [S::PRIMARY].iter().chain(S::SECONDARIES).copied().find(|topic| *topic == name)
    }

    /// An event consumed this input, whatever else is known of it.
    pub(super) fn consumed(&mut self, input: &SourcePosition) {
        let offset = u64::try_from(input.offset).unwrap_or_default();
        if let Some(topic) = Self::input_topic(&input.topic) {
            let position = self.positions.entry(topic).or_default();
            *position = (*position).max(offset + 1);
        }
    }

    pub(super) fn input_stream(&mut self, topic: &'static str) -> Result<&mut Stream<'a>, Error> {
        if !self.inputs.contains_key(topic) {
            let stream = Stream::open(&self.run.readers, TopicPartition::new(topic, self.number))?;
            self.inputs.insert(topic, stream);
        }
        Ok(self.inputs.get_mut(topic).expect("it was put there"))
    }

    fn wrong_input(&mut self, journal: &Record, kind: Kind, detail: String) {
        let finding = Finding::new(kind, Place::of(journal), detail);
        self.run.findings.add(finding.found(Some(Side::of(journal))));
    }

    /// Takes the input record that an event names, and says so if it is not the one that comes next.
    ///
    /// If the next event shows that the number in this one is wrong, the record that comes next is taken: the comparison
    /// of the two events tells the difference.
    pub(super) fn take_input(&mut self, journal: &Record, input: &SourcePosition) -> Result<Given, Error> {
        if input.partition != signed_partition(self.number) {
            let SourcePosition { topic, partition, .. } = input;
            let detail =
                format!("I3: it is about {topic}/{partition}, and stands in partition {}", self.number);
            self.wrong_input(journal, Kind::Partition, detail);
        }
        let Some(topic) = Self::input_topic(&input.topic) else {
            self.wrong_input(journal, Kind::Input, format!("{:?} is no input of this stage", input.topic));
            return Ok(Given::Wrong);
        };
        let named = u64::try_from(input.offset).unwrap_or(u64::MAX);
        let is_late = self.run.late_journals.contains(&(S::ID, self.number));
        // Without the first events, the first one that is there says where reading begins.
        let from = self.positions.get(topic).copied().unwrap_or(if is_late { named } else { 0 });
        let stream = self.input_stream(topic)?;
        stream.skip_to(from);
        if named < stream.start() && named >= from {
            self.positions.insert(topic, named + 1);
            return Ok(Given::Expired(input.clone()));
        }
        let next = stream.peek(0)?.map(|record| record.offset);
        let after_next = stream.peek(1)?.map(|record| record.offset);
        let is_other = next.is_some_and(|next| next != named);
        let following = if is_other { self.following_input(topic)? } else { None };
        let is_number_wrong = following.is_some() && following == after_next;
        if next == Some(named) || is_number_wrong {
            let record = self.input_stream(topic)?.next()?.expect("it was looked at");
            self.positions.insert(topic, record.offset + 1);
            self.run.checked.inputs_decided += 1;
            if is_number_wrong && self.mode != Mode::Known {
                let detail = format!("I2: it names {topic}@{named}, but @{} comes next", record.offset);
                self.wrong_input(journal, Kind::Input, detail);
            }
            return Ok(Given::Record(record));
        }
        if named < from {
            let detail = format!("I2: {topic}@{named} was decided before; the next is @{from}");
            self.wrong_input(journal, Kind::Input, detail);
            return Ok(Given::Wrong);
        }
        self.positions.insert(topic, named.saturating_add(1));
        if let Some(next) = next.filter(|next| *next < named) {
            let detail = format!("I2: {topic}@{next} has no decision; the journal goes on with @{named}");
            self.wrong_input(journal, Kind::Input, detail);
        }
        let stream = self.input_stream(topic)?;
        stream.skip_to(named);
        if stream.peek(0)?.is_some_and(|record| record.offset == named) {
            let record = stream.next()?.expect("it was looked at");
            self.run.checked.inputs_decided += 1;
            return Ok(Given::Record(record));
        }
        if !self.run.findings.is_damaged(topic, self.number, named) {
            let detail = "the record that the journal decided is not there";
            let place = Place::new(topic, self.number, named);
            self.run.findings.add(Finding::new(Kind::Missing, place, detail));
        }
        Ok(Given::Absent(input.clone()))
    }

    /// The offset of this topic that the next event with one names.
    fn following_input(&mut self, topic: &str) -> Result<Option<u64>, Error> {
        self.fill(LOOK_AHEAD)?;
        Ok(self.window.iter().find_map(|read| {
            let input = S::envelope(read.event.as_ref().ok()?).input?;
            if input.topic == topic { u64::try_from(input.offset).ok() } else { None }
        }))
    }

    /// An event while the state is not known, or that is not decided again: its input is read, so that the outputs can be
    /// compared.
    pub(super) fn take_unknown(
        &mut self,
        record: &Record,
        event: S::Event,
    ) -> Result<Option<(S::Event, Cause, bool)>, Error> {
        let Some(input) = S::envelope(&event).input.cloned() else {
            // A further event of a command has the trace of its input, a timer has none.
            let cause = if S::is_further(&event) { self.pending_cause.clone() } else { Cause::None };
            return Ok(Some((event, cause, false)));
        };
        let cause = self.take_input(record, &input)?.cause();
        self.pending_cause = cause.clone();
        Ok(Some((event, cause, true)))
    }
}
