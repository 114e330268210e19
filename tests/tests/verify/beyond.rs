//! What cannot be checked is said: other versions of the decision logic, inputs that are gone, what is older than `--since`.

use std::collections::BTreeMap;
use std::time::Duration;

use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_engine::{LOGIC_VERSION, Stage};
use settle_log::embedded::EmbeddedOptions;
use settle_log::{
    Consumer, ConsumerOptions, CreateOutcome, EmbeddedLog, Error, GroupMetadata, Log, PollLimit, ReadBatch,
    Reader, TopicDescription, TopicPartition, TopicSettings, TransactionalProducer,
};
use settle_reconcile::{InMemory, NoProgress, NotChecked, Report, Skipped, VerifyOptions, verify};
use settle_tests::Topics;
use settle_tests::topics::value;
use settle_types::authorize::{DecisionEvent, Outcome};
use settle_types::settle::SettlementEvent;
use settle_types::{Timestamp, topic};

use super::{assert_accepted, audit, audit_since, honest};

fn skipped(report: &Report, reason: NotChecked) -> &Skipped {
    let found = report.not_checked.iter().find(|skipped| skipped.reason == reason);
    found.unwrap_or_else(|| panic!("{reason:?} was expected in {:?}", report.not_checked))
}

/// The events from `from` on, as another version of the decision logic would have written them.
fn decided_by_another_version(topics: &mut Topics, partition: u32, from: usize) -> u64 {
    let mut events = 0;
    for record in &mut topics.partition_mut(topic::DECIDED, partition)[from..] {
        let mut event: DecisionEvent = value(record);
        event.logic_version = LOGIC_VERSION + 1;
        let mut encoded = Vec::new();
        settle_schema::encode(&event, &mut encoded);
        record.value = Some(encoded.into());
        events += 1;
    }
    events
}

#[test]
fn events_of_another_logic_version_are_counted_and_not_decided_again() {
    let mut topics = honest().clone();
    let from = topics.partition_mut(topic::DECIDED, 1).len() / 2;
    let others = decided_by_another_version(&mut topics, 1, from);
    let report = audit(&topics);
    assert_accepted(&report);
    let versions = skipped(&report, NotChecked::LogicVersion);
    assert_eq!(versions.count, others);
    assert_eq!(versions.first.to_string(), format!("{}/1@{from}", topic::DECIDED));
    assert_eq!(versions.details, [((LOGIC_VERSION + 1).to_string(), others)].into());
    assert_eq!(report.checked.redecided + others, report.checked.events);
    assert_eq!(report.not_checked.len(), 1);
}

#[test]
fn outputs_of_another_logic_version_are_compared_all_the_same() {
    let mut topics = honest().clone();
    decided_by_another_version(&mut topics, 1, 0);
    let approved = topics.partition_mut(topic::APPROVED, 2);
    approved.truncate(approved.len() - 1);
    let report = audit(&topics);
    let first = report.first.expect("a record is missing");
    assert_eq!((&*first.place.topic, first.place.partition), (topic::APPROVED, 2));
}

/// An embedded log whose retention has removed the beginning of a topic.
struct Expired {
    log: EmbeddedLog,
    topic: &'static str,
    start: u64,
}

struct ExpiredReader {
    reader: Box<dyn Reader>,
    topic: &'static str,
    start: u64,
}

impl Log for Expired {
    fn describe(&self) -> String {
        self.log.describe()
    }
    fn topics(&self) -> Result<Vec<TopicDescription>, Error> {
        self.log.topics()
    }
    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
        self.log.topic_settings(names)
    }
    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
        self.log.create_topic(name, partitions)
    }
    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error> {
        self.log.consumer(options)
    }
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error> {
        self.log.producer(transactional_id)
    }
    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        let reader = self.log.reader()?;
        Ok(Box::new(ExpiredReader { reader, topic: self.topic, start: self.start }))
    }
}

impl Reader for ExpiredReader {
    fn start_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        let end = self.reader.end_offset(partition)?;
        Ok(if &*partition.topic == self.topic { self.start.min(end) } else { 0 })
    }
    fn end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.reader.end_offset(partition)
    }
    fn committed_end_offset(&mut self, partition: &TopicPartition) -> Result<u64, Error> {
        self.reader.committed_end_offset(partition)
    }
    fn read(
        &mut self,
        partition: &TopicPartition,
        from_offset: u64,
        limit: PollLimit,
        timeout: Duration,
    ) -> Result<ReadBatch, Error> {
        assert!(&*partition.topic != self.topic || from_offset >= self.start, "what is gone cannot be read");
        self.reader.read(partition, from_offset, limit, timeout)
    }
}

fn audit_expired(topics: &Topics, topic: &'static str, start: u64) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    topics.write(folder.path());
    let log = EmbeddedLog::open_read_only(folder.path().join("log")).expect("the copy can be read");
    let options = VerifyOptions {
        since: None,
        scratch: folder.path().to_path_buf(),
        groups: BTreeMap::new(),
        commit_wait: Duration::ZERO,
        schemas: settle_schema::Schemas::built_in(),
    };
    let log = Expired { log, topic, start };
    verify(&log, &options, &InMemory, &mut NoProgress).expect("the audit comes to its end")
}

#[test]
fn an_input_that_has_expired_is_no_difference() {
    let report = audit_expired(honest(), topic::REQUESTED, 100);
    assert_accepted(&report);
    let expired = skipped(&report, NotChecked::InputExpired);
    // A hundred requests in each of three partitions, and what a cancellation among them changed.
    assert!((300..330).contains(&expired.count), "{expired:?}");
    assert_eq!(expired.first.topic, topic::DECIDED);
    assert_eq!(report.not_checked.len(), 1);
    assert_eq!(report.checked.redecided + expired.count, report.checked.events);
}

#[test]
fn settle_is_decided_again_from_its_own_journal_where_its_input_has_expired() {
    let report = audit_expired(honest(), topic::APPROVED, 100);
    assert_accepted(&report);
    // The comparison with the records themselves is what is left out.
    let expired = skipped(&report, NotChecked::OutputExpired);
    assert_eq!(expired.count, 300);
    assert_eq!(report.checked.redecided, report.checked.events);
    assert_eq!(report.not_checked.len(), 1);
}

#[test]
fn a_journal_without_its_beginning_is_checked_as_far_as_it_goes() {
    for journal in [topic::DECIDED, topic::SETTLEMENT_EVENTS] {
        let report = audit_expired(honest(), journal, 200);
        assert_accepted(&report);
        let unknown = skipped(&report, NotChecked::JournalExpired);
        assert!(unknown.count > 500, "{journal}: {unknown:?}");
        assert!(report.checked.redecided > 1_000, "{journal}: the other stage is decided again");
    }
}

#[test]
fn outputs_that_have_expired_are_no_difference() {
    for name in [topic::DEAD_LETTER, topic::PAYOUTS, topic::LEDGER_TRANSACTIONS] {
        let report = audit_expired(honest(), name, 5);
        assert_accepted(&report);
        assert!(skipped(&report, NotChecked::OutputExpired).count >= 5, "{name}");
    }
}

/// The clock in the middle of the journal.
fn middle(topics: &Topics) -> Timestamp {
    let mut times: Vec<Timestamp> =
        topics.values::<SettlementEvent>(topic::SETTLEMENT_EVENTS).iter().map(|event| event.now).collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn since_judges_what_came_later_and_says_what_it_left_out() {
    let since = middle(honest());
    let report = audit_since(honest(), Some(since));
    assert_accepted(&report);
    let before = skipped(&report, NotChecked::BeforeSince);
    assert!(before.count > 1_000, "{before:?}");
    assert!(report.checked.events > 1_000);
    assert_eq!(report.checked.redecided, report.checked.events, "what came later was decided again");
    assert_eq!(report.since, Some(since.to_string()));

    // What was changed before is not told, what was changed after is.
    let mut topics = honest().clone();
    let records = topics.partition_mut(topic::LEDGER_TRANSACTIONS, 0);
    let is_late = |record: &settle_log::Record| record.timestamp_ms >= since.as_millis();
    let late = records.iter().position(is_late).expect("the ledger goes on after the middle") + 3;
    let mut early = topics.clone();
    let swap = |records: &mut Vec<settle_log::Record>, index: usize| records.swap(index, index + 1);
    swap(early.partition_mut(topic::LEDGER_TRANSACTIONS, 0), 2);
    assert_accepted(&audit_since(&early, Some(since)));
    swap(topics.partition_mut(topic::LEDGER_TRANSACTIONS, 0), late);
    let first = audit_since(&topics, Some(since)).first.expect("two records were swapped");
    assert_eq!(first.place.to_string(), format!("{}/0@{late}", topic::LEDGER_TRANSACTIONS));
}

/// The end of a journal leaves no gap: only the group knows that there was more.
#[test]
fn a_journal_that_lost_its_end_is_found_by_the_position_of_its_group() {
    let groups: BTreeMap<&'static str, String> =
        [(Authorize::NAME, "settle-authorize".to_owned()), (Settle::NAME, "settle-settle".to_owned())].into();
    let mut topics = honest().clone();
    let mut positions: BTreeMap<&str, Vec<(TopicPartition, u64)>> = BTreeMap::new();
    for (stage, inputs) in
        [(Authorize::NAME, &[topic::REQUESTED, topic::RESULTS][..]), (Settle::NAME, &[topic::APPROVED][..])]
    {
        for (name, (number, records)) in
            inputs.iter().flat_map(|name| topics.of(name).map(move |of| (*name, of)))
        {
            let end = u64::try_from(records.len()).expect("a number of records");
            positions.entry(stage).or_default().push((TopicPartition::new(name, number), end));
        }
    }
    let audit = |topics: &Topics| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        topics.write(folder.path());
        let directory = folder.path().join("log");
        {
            let log = EmbeddedLog::open(&directory, EmbeddedOptions::default()).expect("a log");
            let mut producer = log.producer("positions").expect("the log has producers");
            producer.begin().expect("a transaction can begin");
            for (stage, positions) in &positions {
                let member = GroupMetadata::new(groups[stage].as_str(), 0, "member");
                producer.send_offsets(&member, positions).expect("positions are taken");
            }
            producer.commit().expect("the transaction can be committed");
        }
        let log = EmbeddedLog::open_read_only(directory).expect("the copy can be read");
        let scratch = folder.path().to_path_buf();
        let options = VerifyOptions {
            since: None,
            scratch,
            groups: groups.clone(),
            commit_wait: Duration::ZERO,
            schemas: settle_schema::Schemas::built_in(),
        };
        verify(&log, &options, &InMemory, &mut NoProgress).expect("the audit comes to its end")
    };
    assert_accepted(&audit(&topics));

    // A declined request leaves a trace in the journal alone.
    let declined = |record: &settle_log::Record| {
        value::<DecisionEvent>(record).decision.is_some_and(|decision| decision.outcome == Outcome::Declined)
    };
    let journal = topics.partition_mut(topic::DECIDED, 0);
    let last = journal.iter().rposition(declined).expect("some requests are declined");
    let end = last;
    let events: Vec<settle_log::Record> = journal.drain(last..).collect();
    assert!(!events.is_empty());
    let report = audit(&topics);
    let place = format!("{}/0@{end}", topic::DECIDED);
    let found = report.findings().find(|finding| finding.place.to_string() == place);
    let found = found.unwrap_or_else(|| panic!("{place} was expected in {:?}", report.first));
    assert_eq!(found.code, "STL-0708");
    assert!(found.detail.contains("its end is missing"), "{}", found.detail);
}
