//! Decides again what a journal record says was decided, and compares.
//!
//! From the record come the order, the clock and the configuration; everything else is made again: what was due, what the
//! input says, the rules, the bookings, the hashes.

use settle_log::{Header, Record};
use settle_types::Timestamp;
use settle_types::event::SourcePosition;

use super::Journal;
use super::input::Given;
use crate::Error;
use crate::expected::Cause;
use crate::finding::{Finding, Kind, Place, Side};
use crate::report::NotChecked;
use crate::stages::Audited;

/// Input records before and behind the right place that are tried where one was decided that stands elsewhere.
const NEIGHBOURS: usize = 8;

/// What the audit goes on with: the event, its cause, and whether it is the first of its command.
type Taken<S> = Option<(<S as settle_engine::Stage>::Event, Cause, bool)>;

impl<S: Audited> Journal<'_, '_, S> {
    /// Decides an event again. None: the audit cannot go on with any event in its place.
    pub(super) fn redecide(&mut self, record: &Record, event: S::Event) -> Result<Taken<S>, Error> {
        let version = S::logic_version(&event);
        if version != settle_engine::LOGIC_VERSION {
            self.run.skip(NotChecked::LogicVersion, Place::of(record), Some(version.to_string()));
            self.pending.clear();
            let taken = self.take_unknown(record, event)?;
            if let Some((event, ..)) = &taken {
                self.fold_read(record, event)?;
            }
            return Ok(taken);
        }
        if let Some(expected) = self.pending.pop_front() {
            if S::envelope(&event).input.is_some() {
                return self.cannot(
                    record,
                    event,
                    "the command before it has a further event, which is not there",
                );
            }
            let cause = self.pending_cause.clone();
            return self.settle_on(record, expected, cause, false, None);
        }
        if let Some(reason) = self.folded_for.filter(|_| S::is_further(&event)) {
            let cause = self.pending_cause.clone();
            self.fold_instead(record, &event, reason)?;
            return Ok(Some((event, cause, false)));
        }
        self.folded_for = None;
        if S::activated(&event).is_some() {
            return self.activation(record, event);
        }
        if self.replica.config().is_none() {
            return self.cannot(record, event, "no configuration was activated before it");
        }
        match S::envelope(&event).input.cloned() {
            Some(input) => self.input_event(record, event, &input),
            None => self.timer(record, event),
        }
    }

    fn activation(&mut self, record: &Record, event: S::Event) -> Result<Taken<S>, Error> {
        let activation = S::activated(&event).expect("it activates a configuration").clone();
        let hash = blake3::hash(activation.content.as_bytes()).to_hex();
        if activation.hash != *hash.as_str() {
            let detail =
                format!("the hash of the activated configuration is {hash}, not {}", activation.hash);
            let finding = Finding::new(Kind::Redecision, Place::of(record), detail);
            self.run.findings.add(finding.found(Some(Side::of(record))));
        }
        let found = self.clock_of(record, &event);
        let decided = self.replica.activate(&activation, |meta, config| {
            let low = S::idle_now(meta, config, Timestamp::MIN);
            let high = S::idle_now(meta, config, Timestamp::MAX);
            found.within(low, high)
        });
        let Some(expected) = decided.and_then(|events| events.into_iter().next()) else {
            return self.cannot(record, event, "its configuration cannot be activated");
        };
        self.settle_on(record, expected, Cause::None, false, None)
    }

    fn timer(&mut self, record: &Record, event: S::Event) -> Result<Taken<S>, Error> {
        let now = self.clock_of(record, &event).within(self.replica.meta.now, Timestamp::MAX);
        let command = match S::is_of_finish(&event) {
            true => self.replica.next_to_finish()?,
            false => self.replica.due(now)?,
        };
        let Some(command) = command else {
            return self.cannot(record, event, "nothing was due at its time");
        };
        let Some(expected) = self.replica.decide(&command, now)?.into_iter().next() else {
            return self.cannot(record, event, "what was due at its time cannot be decided");
        };
        self.settle_on(record, expected, Cause::None, false, None)
    }

    fn input_event(
        &mut self,
        record: &Record,
        event: S::Event,
        input: &SourcePosition,
    ) -> Result<Taken<S>, Error> {
        let given = self.take_input(record, input)?;
        let cause = given.cause();
        self.pending_cause = cause.clone();
        let read = match given {
            Given::Record(read) => read,
            Given::Wrong => {
                self.lose(NotChecked::AfterDamage);
                return Ok(Some((event, cause, true)));
            }
            Given::Expired(position) => return self.without_input(record, event, &position, cause, true),
            Given::Absent(position) => return self.without_input(record, event, &position, cause, false),
        };
        let config = self.replica.config().expect("it was looked at");
        let Some(command) = crate::codec::command::<S>(&read, config, self.run.count(S::PRIMARY)) else {
            return self.cannot(record, event, "the schema registry does not say what its input is");
        };
        let now = self.now_for(record, &event, &command);
        let due = self.replica.due(now)?;
        let mut events = match &due {
            Some(_) => Vec::new().into_iter(),
            None => self.replica.decide(&command, now)?.into_iter(),
        };
        let expected = events.next();
        if let Some(expected) =
            expected.as_ref().filter(|expected| self.is_same(record, expected, &cause, true))
        {
            self.pending = events.collect();
            return self.settle_on(record, expected.clone(), cause, true, None);
        }
        if let Some(others) = self.explained_by_input(record, &event, &read, expected.as_ref())? {
            let mut others = others.into_iter();
            let first = others.next().expect("it was compared");
            self.pending = others.collect();
            self.run.checked.redecided += 1;
            self.replica.fold(&first)?;
            return Ok(Some((first, cause, true)));
        }
        let source = Place::of(&read);
        if self.run.findings.is_damaged(&source.topic, source.partition, source.offset) {
            self.fold_instead(record, &event, NotChecked::DamagedInput)?;
            return Ok(Some((event, cause, true)));
        }
        if let Some(due) = due {
            let tick = self.replica.decide(&due, now)?.into_iter().next();
            let side = tick.map(|tick| self.side_of(&tick, &Cause::None, false));
            let detail = "a timer was due before it, and is not journaled";
            let finding = Finding::new(Kind::Redecision, Place::of(record), detail);
            self.run.findings.add(finding.expected(side).found(Some(Side::of(record))));
            self.lose(NotChecked::AfterDamage);
            return Ok(Some((event, cause, true)));
        }
        let Some(expected) = expected else {
            let detail = "its input is not one that can be decided";
            let finding = Finding::new(Kind::Redecision, Place::of(record), detail).source(Some(source));
            self.run.findings.add(finding.found(Some(Side::of(record))));
            self.fold_instead(record, &event, NotChecked::DamagedInput)?;
            return Ok(Some((event, cause, true)));
        };
        self.pending = events.collect();
        self.settle_on(record, expected, cause, true, Some(source))
    }

    /// The input is gone: what the event has kept of it may do.
    fn without_input(
        &mut self,
        record: &Record,
        event: S::Event,
        position: &SourcePosition,
        cause: Cause,
        is_expired: bool,
    ) -> Result<Taken<S>, Error> {
        if let Some((command, _)) = S::kept_command(&event, position) {
            let now = self.now_for(record, &event, &command);
            let due = self.replica.due(now)?;
            let expected = self.replica.decide(&command, now)?.into_iter().next();
            if let (None, Some(expected)) = (due, expected) {
                return self.settle_on(record, expected, cause, true, None);
            }
        }
        let reason = if is_expired { NotChecked::InputExpired } else { NotChecked::DamagedInput };
        self.fold_instead(record, &event, reason)?;
        Ok(Some((event, cause, true)))
    }

    /// Folds an event that cannot be decided again, and is not held against anybody.
    fn fold_instead(&mut self, record: &Record, event: &S::Event, reason: NotChecked) -> Result<(), Error> {
        self.run.skip(reason, Place::of(record), None);
        self.pending.clear();
        self.folded_for = Some(reason);
        self.fold_read(record, event).map(|_| ())
    }

    /// The journal is as it would be had another record stood at the input's place: says so, and gives the events.
    /// `decided` is what the record that stands there gives.
    fn explained_by_input(
        &mut self,
        record: &Record,
        event: &S::Event,
        read: &Record,
        decided: Option<&S::Event>,
    ) -> Result<Option<Vec<S::Event>>, Error> {
        let mut neighbours = self.displaced.clone();
        let topic = Self::input_topic(&read.topic).expect("it was read as an input");
        let stream = self.input_stream(topic)?;
        for distance in 0..NEIGHBOURS {
            neighbours.extend(stream.peek(distance)?.cloned());
        }
        neighbours.retain(|neighbour| neighbour.topic == read.topic);
        let position = settle_codec::position(read);
        if let Some((command, value)) = S::kept_command(event, &position)
            && read.value.as_deref() != Some(&value[..])
        {
            let events = self.try_to_decide(record, event, &command)?;
            let value_of = |event: &S::Event| {
                let mut value = Vec::new();
                crate::codec::encode(event, &mut value);
                value
            };
            if events.first().map(value_of).as_deref() == record.value.as_deref() {
                let key = read.key.as_deref();
                let side = Side::from_parts(read.timestamp_ms, key, Some(&value), &read.headers);
                let stands_elsewhere =
                    neighbours.iter().any(|neighbour| neighbour.value.as_deref() == Some(&value[..]));
                let of_input = self.input_differs(record, read, side);
                if stands_elsewhere || of_input.is_consequence {
                    self.run.findings.add(of_input);
                } else {
                    let detail =
                        "deciding again gives another event: the journal has another input than stands there";
                    let of_journal = Finding::new(Kind::Redecision, Place::of(record), detail)
                        .expected(
                            decided.map(|event| self.side_of(event, &Cause::Record(read.clone()), true)),
                        )
                        .found(Some(Side::of(record)))
                        .source(Some(Place::of(read)));
                    self.run.findings.dispute(of_input, of_journal);
                }
                return Ok(Some(events));
            }
        }
        for neighbour in neighbours {
            let moved = Record { offset: read.offset, ..neighbour };
            let config = self.replica.config().expect("it was looked at");
            let command = crate::codec::command::<S>(&moved, config, self.run.count(S::PRIMARY));
            let Some(command) = command else { continue };
            let events = self.try_to_decide(record, event, &command)?;
            let Some(first) = events.first() else { continue };
            if self.is_same(record, first, &Cause::Record(moved.clone()), true) {
                let finding = self.input_differs(record, read, Side::of(&moved));
                self.run.findings.add(finding);
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    /// What the stage says to a command at the clock of a record; nothing if something else was due before.
    fn try_to_decide(
        &mut self,
        record: &Record,
        event: &S::Event,
        command: &S::Command,
    ) -> Result<Vec<S::Event>, Error> {
        let now = self.now_for(record, event, command);
        match self.replica.due(now)? {
            Some(_) => Ok(Vec::new()),
            None => self.replica.decide(command, now),
        }
    }

    fn input_differs(&mut self, journal: &Record, read: &Record, expected: Side) -> Finding {
        self.displaced.push(read.clone());
        if self.displaced.len() > NEIGHBOURS {
            self.displaced.remove(0);
        }
        let place = Place::of(read);
        let detail = format!("{} decided another record than the one that stands here", Place::of(journal));
        let before = place.offset.saturating_sub(1);
        let is_consequence = self.run.findings.is_suspect(&place.topic, place.partition, before);
        let mut finding = Finding::new(Kind::Input, place, detail);
        finding.is_consequence = is_consequence;
        finding.expected(Some(expected)).found(Some(Side::of(read)))
    }

    /// Compares, tells a difference, and goes on with what was decided here.
    fn settle_on(
        &mut self,
        record: &Record,
        expected: S::Event,
        cause: Cause,
        is_first: bool,
        source: Option<Place>,
    ) -> Result<Taken<S>, Error> {
        self.run.checked.redecided += 1;
        if !self.is_same(record, &expected, &cause, is_first) {
            let detail = "deciding again gives another event";
            let mut finding = Finding::new(Kind::Redecision, Place::of(record), detail).source(source);
            if self.run.findings.keeps(Kind::Redecision) {
                let side = self.side_of(&expected, &cause, is_first);
                finding = finding.expected(Some(side)).found(Some(Side::of(record)));
            }
            self.run.findings.add(finding);
        }
        self.replica.fold(&expected)?;
        Ok(Some((expected, cause, is_first)))
    }

    /// There is nothing to compare an event with.
    fn cannot(&mut self, record: &Record, event: S::Event, detail: &str) -> Result<Taken<S>, Error> {
        let finding = Finding::new(Kind::Redecision, Place::of(record), detail);
        self.run.findings.add(finding.found(Some(Side::of(record))));
        self.lose(NotChecked::AfterDamage);
        self.take_unknown(record, event)
    }

    /// Key, value and headers of the journal record of an event. Of an input that is gone the headers are not known, and the
    /// key only where the event has it.
    fn record_of(event: &S::Event, cause: &Cause, is_first: bool) -> (Option<Vec<u8>>, Vec<u8>, Vec<Header>) {
        let key = cause.with_input(is_first, |input| S::journal_key(event, input));
        let mut value = Vec::new();
        crate::codec::encode(event, &mut value);
        (key, value, cause.trace())
    }

    fn is_same(&self, record: &Record, event: &S::Event, cause: &Cause, is_first: bool) -> bool {
        let (key, value, headers) = Self::record_of(event, cause, is_first);
        let is_gone = matches!(cause, Cause::Gone(_));
        record.value.as_deref() == Some(&value[..])
            && self.has_time_of(record, S::envelope(event).now)
            && (record.key.as_deref() == key.as_deref() || is_gone && key.is_none())
            && (record.headers == headers || is_gone)
    }

    pub(super) fn side_of(&self, event: &S::Event, cause: &Cause, is_first: bool) -> Side {
        let (key, value, headers) = Self::record_of(event, cause, is_first);
        Side::from_parts(S::envelope(event).now.as_millis(), key.as_deref(), Some(&value), &headers)
    }

    fn now_for(&self, record: &Record, event: &S::Event, command: &S::Command) -> Timestamp {
        let config = self.replica.config().expect("it was looked at");
        let meta = &self.replica.meta;
        let low = S::now(meta, config, command, Timestamp::MIN);
        let high = S::now(meta, config, command, Timestamp::MAX);
        self.clock_of(record, event).within(low, high)
    }

    /// True if a record has the time of an event. Kafka's client takes 1970-01-01T00:00:00Z, the clock of a partition that has
    /// seen no dated request, for "now"; and some topics have the time of arrival.
    fn has_time_of(&self, record: &Record, now: Timestamp) -> bool {
        self.stamps_arrival || now.as_millis() == 0 || record.timestamp_ms == now.as_millis()
    }

    /// The clock that an event was decided at, as far as its record tells.
    fn clock_of(&self, record: &Record, event: &S::Event) -> FoundClock {
        let next = self.window.front().and_then(|read| read.event.as_ref().ok());
        let found = S::envelope(event).now;
        FoundClock {
            found,
            record_ms: if self.has_time_of(record, found) { found.as_millis() } else { record.timestamp_ms },
            next: next.map(|next| S::envelope(next).now),
        }
    }
}

/// What a journal record says of the clock, three times: the event, the record's own time, the event after it.
#[derive(Clone, Copy)]
struct FoundClock {
    found: Timestamp,
    record_ms: i64,
    next: Option<Timestamp>,
}

impl FoundClock {
    /// The clock: as the event has it, unless something else shows that this is wrong. `low` and `high` are what the stage
    /// makes of the earliest and of the latest wall clock: the same where the wall clock does not count.
    fn within(self, low: Timestamp, high: Timestamp) -> Timestamp {
        let fits = |candidate: Timestamp| {
            let is_possible =
                if high == Timestamp::MAX { candidate >= low } else { candidate == low || candidate == high };
            is_possible
                && candidate.as_millis() == self.record_ms
                && self.next.is_none_or(|next| candidate <= next)
        };
        let of_record = Timestamp::from_millis(self.record_ms).unwrap_or(self.found).max(low);
        let candidates = [Some(self.found), Some(low), Some(high), self.next];
        candidates.into_iter().flatten().find(|candidate| fits(*candidate)).unwrap_or(of_record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn the_clock_of_an_event_is_believed_unless_something_else_speaks_against_it() {
        let clock =
            |found, record_ms, next: i64| FoundClock { found: at(found), record_ms, next: Some(at(next)) };
        // The wall clock counts: anything from the state's clock on.
        assert_eq!(clock(5_250, 5, 6_000).within(at(4_000), Timestamp::MAX), at(5_250));
        // Another millisecond than the record's; the next event has the right one.
        assert_eq!(clock(9_250, 5, 5_250).within(at(4_000), Timestamp::MAX), at(5_250));
        // The clock would go backwards after it.
        assert_eq!(clock(5_900, 5, 5_250).within(at(4_000), Timestamp::MAX), at(5_250));
        // The wall clock does not count: one of two.
        assert_eq!(clock(5_251, 5, 6_000).within(at(4_000), at(5_250)), at(5_250));
        assert_eq!(clock(4_000, 4, 6_000).within(at(4_000), at(5_250)), at(4_000));
        // Nothing fits: the record's own time, which is right to the millisecond.
        assert_eq!(clock(9_250, 5, 9_000).within(at(4_000), Timestamp::MAX), at(5_000));
    }
}
