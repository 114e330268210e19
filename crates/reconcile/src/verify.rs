//! The order of an audit.
//!
//! SETTLE comes first: its journal keeps all of its input, so that a damaged record of `payments.approved` does not keep it from
//! being decided again (which of the two was changed is told when that topic has been compared); and what it sends back to
//! AUTHORIZE has been judged when that is decided again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use settle_engine::Stage;
use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_log::{Log, TopicPartition};
use settle_schema::Schemas;
use settle_types::{Timestamp, topic};

use crate::finding::{Findings, Kind};
use crate::ledger::{LedgerPartition, Totals};
use crate::report::{KindCount, Report};
use crate::run::Run;
use crate::stages::Audited;
use crate::{Error, StateFactory, batches, codec, journal, outputs, uses};

/// What to audit, and where temporary files may stand.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Judge only what was journaled at this time or later.
    pub since: Option<Timestamp>,
    /// A folder for temporary files.
    pub scratch: PathBuf,
    /// Consumer groups by the name of their stage: how far they are tells whether the end of a journal is missing.
    pub groups: BTreeMap<&'static str, String>,
    /// How long to wait for a record that the journal calls for: where a commit reaches one partition after the other, it may
    /// not be visible yet.
    pub commit_wait: Duration,
    /// Schemas of the records, and the ids that they were written with.
    pub schemas: Schemas,
}

/// Is told how far the audit is.
pub trait Progress {
    /// So many records are to be read, about.
    fn begin(&mut self, records: u64);

    /// What is being looked at now.
    fn phase(&mut self, what: &str);

    /// Records were read.
    fn advance(&mut self, records: u64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&mut self, _records: u64) {}

    fn phase(&mut self, _what: &str) {}

    fn advance(&mut self, _records: u64) {}
}

/// Audits a log. What it finds stands in the report.
///
/// # Errors
/// What keeps the audit from being finished: the log, the scratch folder or the state cannot be used.
pub fn verify(
    log: &dyn Log,
    options: &VerifyOptions,
    states: &impl StateFactory,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let _schemas = codec::Scope::enter(options.schemas.clone());
    let counts: BTreeMap<String, u32> =
        log.topics()?.into_iter().map(|topic| (topic.name.to_string(), topic.partitions)).collect();
    check_counts::<Authorize>(&counts)?;
    check_counts::<Settle>(&counts)?;
    progress.begin(records_to_read(log, &counts)?);
    let since_ms = options.since.map(Timestamp::as_millis);
    let mut run = Run::new(log, counts, since_ms, &options.scratch, progress)?;
    run.groups = options.groups.clone();
    run.commit_wait = options.commit_wait;

    journals::<Settle>(&mut run, states)?;
    let mut totals = Totals::default();
    run.progress.phase("the ledger");
    for number in 0..run.count(topic::LEDGER_TRANSACTIONS) {
        let partition = TopicPartition::new(topic::LEDGER_TRANSACTIONS, number);
        let (start, _) = run.readers.bounds(&partition)?;
        let mut ledger = LedgerPartition::new(number, start == 0, &mut totals);
        outputs::compare(&mut run, topic::LEDGER_TRANSACTIONS, number, Some(&mut ledger))?;
    }
    compare(&mut run, topic::PAYOUTS)?;
    compare(&mut run, topic::RESULTS)?;
    journals::<Authorize>(&mut run, states)?;
    compare(&mut run, topic::REROUTED)?;
    compare(&mut run, topic::APPROVED)?;
    run.findings.judge();
    compare(&mut run, topic::DEAD_LETTER)?;
    run.progress.phase("keys and batches");
    uses::check(&mut run)?;
    batches::check(&mut run)?;
    totals.check(&mut run);
    Ok(report(run, options))
}

/// Inputs, journal and ledger of a stage have equal counts (I3).
fn check_counts<S: Stage>(counts: &BTreeMap<String, u32>) -> Result<(), Error> {
    let count = |topic: &str| {
        let found = counts.get(topic).copied();
        found.ok_or_else(|| settle_log::Error::UnknownTopic { topic: topic.to_owned() })
    };
    let expected = count(S::PRIMARY)?;
    for topic in S::SECONDARIES.iter().chain(S::SAME_PARTITION_OUTPUTS).copied().chain([S::JOURNAL]) {
        let found = count(topic)?;
        if found != expected {
            let (topic, primary) = (topic.to_owned(), S::PRIMARY.to_owned());
            return Err(Error::PartitionCounts { topic, found, expected, primary });
        }
    }
    S::OUTPUTS.iter().try_for_each(|topic| count(topic).map(|_| ())).map_err(Error::from)
}

/// Every topic but the requests is read once. Offsets that no reader sees count, too.
fn records_to_read(log: &dyn Log, counts: &BTreeMap<String, u32>) -> Result<u64, Error> {
    let mut reader = log.reader()?;
    let mut records = 0;
    for name in topic::ALL.into_iter().filter(|name| *name != topic::REQUESTED) {
        for number in 0..counts.get(name).copied().unwrap_or_default() {
            let partition = TopicPartition::new(name, number);
            let start = reader.start_offset(&partition)?;
            records += reader.committed_end_offset(&partition)?.saturating_sub(start);
        }
    }
    Ok(records)
}

fn journals<S: Audited>(run: &mut Run<'_>, states: &impl StateFactory) -> Result<(), Error> {
    run.progress.phase(S::JOURNAL);
    // Before the ends of the journals: what the group has read by now stands there.
    let group = group_positions::<S>(run)?;
    for number in 0..run.count(S::JOURNAL) {
        let state = states.open::<S::Row>(S::NAME, number)?;
        journal::read::<S>(run, number, state, &group)?;
    }
    Ok(())
}

/// How far the stage's group has read its inputs; empty where that is not known.
fn group_positions<S: Audited>(run: &Run<'_>) -> Result<BTreeMap<TopicPartition, u64>, Error> {
    let Some(group) = run.groups.get(S::NAME) else { return Ok(BTreeMap::new()) };
    let mut inputs = Vec::new();
    for topic in [S::PRIMARY].iter().chain(S::SECONDARIES) {
        inputs.extend((0..run.count(S::PRIMARY)).map(|number| TopicPartition::new(*topic, number)));
    }
    Ok(run.log.group_positions(group, &inputs)?.unwrap_or_default())
}

fn compare(run: &mut Run<'_>, topic: &'static str) -> Result<(), Error> {
    run.progress.phase(topic);
    for number in 0..run.count(topic) {
        outputs::compare(run, topic, number, None)?;
    }
    Ok(())
}

fn report(mut run: Run<'_>, options: &VerifyOptions) -> Report {
    let not_checked = run.take_skipped();
    let findings: Findings = std::mem::take(&mut run.findings);
    let count =
        |(kind, count): (&Kind, &u64)| KindCount { code: kind.code(), title: kind.title(), count: *count };
    let findings_by_code = findings.counts().iter().map(count).collect();
    let findings_total = findings.total();
    let mut further = findings.into_sorted();
    let first = (!further.is_empty()).then(|| further.remove(0));
    Report {
        verdict: if first.is_none() { "OK" } else { "DIFFERENCES" },
        log: run.log.describe(),
        since: options.since.map(|since| since.to_string()),
        logic_version: settle_engine::LOGIC_VERSION,
        checked: run.checked,
        not_checked,
        findings_total,
        findings_by_code,
        first,
        further,
    }
}
