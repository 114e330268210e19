//! What all parts of an audit share: the log, what was found, what is still to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use settle_log::Log;

use crate::batches::BatchLine;
use crate::expected::{Route, StageId};
use crate::finding::{Findings, Place};
use crate::report::{Checked, NotChecked, Skipped};
use crate::sorted::Sorted;
use crate::spill::Spill;
use crate::stream::Readers;
use crate::{Error, Progress};

/// How long is waited at a time for what is not visible yet.
pub(crate) const WAIT: Duration = Duration::from_millis(100);

/// One use of a key, and until when it may not be used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Use {
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) from: i64,
    /// Place in the journal of AUTHORIZE (true) or of SETTLE.
    pub(crate) is_authorize: bool,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// As `from`.
    pub(crate) until: i64,
    /// The event is to be judged, not only remembered.
    pub(crate) is_checked: bool,
}

/// The audit as far as it has come.
pub(crate) struct Run<'a> {
    pub(crate) log: &'a dyn Log,
    pub(crate) readers: Readers<'a>,
    /// Partition counts by topic.
    pub(crate) counts: BTreeMap<String, u32>,
    /// What was journaled before is not judged. Milliseconds since 1970-01-01 UTC.
    pub(crate) since_ms: Option<i64>,
    /// Consumer groups by stage.
    pub(crate) groups: BTreeMap<&'static str, String>,
    /// How long to wait for what is not visible yet.
    pub(crate) commit_wait: Duration,
    /// Where temporary files stand.
    pub(crate) scratch: PathBuf,
    pub(crate) progress: &'a mut dyn Progress,
    pub(crate) findings: Findings,
    pub(crate) checked: Checked,
    skipped: BTreeMap<NotChecked, Skipped>,
    pub(crate) expected: Spill<Route>,
    pub(crate) uses: Sorted<Use>,
    pub(crate) batches: Sorted<BatchLine>,
    stamps: BTreeMap<&'static str, bool>,
    /// Where the reading of each journal partition ended.
    pub(crate) journal_ends: BTreeMap<(StageId, u32), u64>,
    /// Journal partitions whose first events are gone.
    pub(crate) late_journals: BTreeSet<(StageId, u32)>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        log: &'a dyn Log,
        counts: BTreeMap<String, u32>,
        since_ms: Option<i64>,
        scratch: &Path,
        progress: &'a mut dyn Progress,
    ) -> Result<Self, Error> {
        Ok(Self {
            log,
            readers: Readers::new(log),
            counts,
            since_ms,
            groups: BTreeMap::new(),
            commit_wait: Duration::ZERO,
            scratch: scratch.to_path_buf(),
            progress,
            findings: Findings::default(),
            checked: Checked::default(),
            skipped: BTreeMap::new(),
            expected: Spill::new(scratch)?,
            uses: Sorted::new(scratch)?,
            batches: Sorted::new(scratch)?,
            stamps: BTreeMap::new(),
            journal_ends: BTreeMap::new(),
            late_journals: BTreeSet::new(),
        })
    }

    /// Partitions of a topic.
    pub(crate) fn count(&self, topic: &str) -> u32 {
        self.counts.get(topic).copied().unwrap_or(1)
    }

    /// How often to wait for what is not visible yet.
    pub(crate) fn waits(&self) -> u128 {
        self.commit_wait.as_millis() / WAIT.as_millis()
    }

    /// Whether records of this topic have the time of their arrival.
    pub(crate) fn stamps_arrival(&mut self, topic: &'static str) -> Result<bool, Error> {
        if let Some(stamps) = self.stamps.get(topic) {
            return Ok(*stamps);
        }
        let stamps = self.log.stamps_arrival(topic)?;
        self.stamps.insert(topic, stamps);
        Ok(stamps)
    }

    /// Whether what was journaled at this time is judged.
    pub(crate) fn judges(&self, millis: i64) -> bool {
        self.since_ms.is_none_or(|since| millis >= since)
    }

    /// A record of a topic was read.
    pub(crate) fn read(&mut self, topic: &str) {
        match self.checked.records.get_mut(topic) {
            Some(count) => *count += 1,
            None => drop(self.checked.records.insert(topic.to_owned(), 1)),
        }
        self.progress.advance(1);
    }

    /// Something was not checked.
    pub(crate) fn skip(&mut self, reason: NotChecked, place: Place, detail: Option<String>) {
        let skipped = self.skipped.entry(reason).or_insert_with(|| Skipped {
            reason,
            title: reason.title(),
            count: 0,
            first: place,
            details: BTreeMap::new(),
        });
        skipped.count += 1;
        if let Some(detail) = detail {
            *skipped.details.entry(detail).or_default() += 1;
        }
    }

    pub(crate) fn take_skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped).into_values().collect()
    }
}
