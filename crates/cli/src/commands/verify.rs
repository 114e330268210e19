//! `settle verify`: everything that was written, checked and decided again.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use settle_engine::authorize::Authorize;
use settle_engine::settle::Settle;
use settle_engine::{FOLD_VERSION, Meta, Rows, Stage, StateKey, StateRow};
use settle_reconcile::{Error, FoldState, Progress, Report, StateFactory, VerifyOptions, verify};
use settle_runtime::clock::{SystemClock, WallClock};
use settle_runtime::group_name;
use settle_store::{Identity, Progress as Folded, Resources, StateStore, Store};
use settle_types::Timestamp;
use tempfile::TempDir;

use crate::args::{Common, OutputFormat, VerifyArguments};
use crate::failure::usage;
use crate::output::{self, Sheet, count};
use crate::{Ended, open, schemas, settings};

/// Further findings that people are shown, at most; scripts get all that are told.
const SHOWN: usize = 10;

/// A commit reaches one partition after the other.
const KAFKA_COMMIT_WAIT: Duration = Duration::from_secs(5);

/// Runs `settle verify`.
pub(crate) fn run(common: &Common, arguments: &VerifyArguments) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    let since = arguments.since.as_deref().map(|text| since(text, SystemClock.now())).transpose()?;
    let log = open::log_read_only(&config)?;
    let scratch = scratch_folder(arguments.scratch.as_deref())?;
    let states = Stores { resources: Resources::new(settings::store_options(&config))?, folder: scratch };
    let application = &config.application.name;
    let groups = [
        (Authorize::NAME, group_name::<Authorize>(application)),
        (Settle::NAME, group_name::<Settle>(application)),
    ];
    let scratch = states.folder.path().to_path_buf();
    let commit_wait = match config.kafka.bootstrap_servers {
        Some(_) => KAFKA_COMMIT_WAIT,
        None => Duration::ZERO,
    };
    let schemas = schemas::to_compare(&config)?;
    let options = VerifyOptions { since, scratch, groups: groups.into(), commit_wait, schemas };
    let mut progress = Bar(ProgressBar::hidden());
    let report = verify(&*log, &options, &states, &mut progress);
    progress.0.finish_and_clear();
    let report = report?;
    match arguments.format {
        OutputFormat::Json => output::json(&report),
        OutputFormat::Human => print(&report),
    }
    Ok(if report.is_ok() { Ended::Done } else { Ended::WithFindings })
}

/// A folder of its own for temporary files, removed in the end.
fn scratch_folder(parent: Option<&Path>) -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("settle-verify-");
    let made = match parent {
        Some(parent) => builder.tempdir_in(parent),
        None => builder.tempdir(),
    };
    made.map_err(|source| Error::Scratch { operation: "create a folder", source }.into())
}

/// The instant that `--since` names.
fn since(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let of_instant =
        || -> Option<i64> { text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond) };
    let of_day = || -> Option<i64> {
        // A date and a time without an offset would be read as the date alone.
        let day: jiff::civil::Date = text.parse().ok().filter(|_| !text.contains(['T', 't', ' ']))?;
        let start = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(start.timestamp().as_microsecond())
    };
    let before_now = || -> Option<i64> {
        let unit = text.chars().next_back()?;
        let seconds: i64 = match unit {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
        now.as_micros().checked_sub(number.checked_mul(seconds)?.checked_mul(1_000_000)?)
    };
    let micros = before_now().or_else(of_instant).or_else(of_day);
    micros.map(Timestamp::from_micros).ok_or_else(|| {
        usage(
            format!("--since {text}: no time"),
            "an instant such as 2026-03-02T09:15:00Z, a day in UTC such as 2026-03-02, or a time before now such as 26h",
        )
    })
}

/// Draws how far it is.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&mut self, records: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let style =
            ProgressStyle::with_template("{msg:22} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}");
        self.0 = ProgressBar::new(records).with_style(style.expect("a valid template"));
    }

    fn phase(&mut self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    fn advance(&mut self, records: u64) {
        self.0.inc(records);
    }
}

/// States on disk: the memory of all of them is one budget, that of the stores of a run.
struct Stores {
    resources: Resources,
    folder: TempDir,
}

impl StateFactory for Stores {
    fn open<R: StateRow>(&self, stage: &'static str, partition: u32) -> Result<Box<dyn FoldState<R>>, Error> {
        let folder = tempfile::Builder::new().prefix(stage).tempdir_in(self.folder.path());
        let folder = folder.map_err(|source| Error::Scratch { operation: "create a folder", source })?;
        let identity = Identity { stage, partition, fold_version: FOLD_VERSION };
        let store = Store::open(&folder.path().join("store"), &self.resources, identity).map_err(failed)?;
        Ok(Box::new(ScratchStore { store, _folder: folder }))
    }
}

fn failed(error: settle_store::Error) -> Error {
    Error::State(Box::new(error))
}

/// A store that is removed with its folder. The store is closed first.
struct ScratchStore<R> {
    store: Store<R>,
    _folder: TempDir,
}

impl<R: StateRow> FoldState<R> for ScratchStore<R> {
    fn load(&self, keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Error> {
        self.store.load(keys, rows).map_err(failed)
    }

    fn apply(&mut self, rows: &Rows<R>, meta: &Meta, next_offset: u64) -> Result<(), Error> {
        let folded = Folded {
            fold_version: FOLD_VERSION,
            journal_next_offset: next_offset,
            journal_topic_identity: String::new(),
            meta: meta.clone(),
        };
        self.store.apply(rows, &folded).map_err(failed)
    }

    fn due(&self, from: &StateKey, until: &StateKey, limit: usize) -> Result<Vec<(StateKey, R)>, Error> {
        self.store.due(from, until, limit).map_err(failed)
    }
}

/// The report for people.
fn print(report: &Report) {
    let since = report.since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
    let checked = &report.checked;
    let mut sheet = Sheet::new(format!("Checked in {}{since}", report.log), &["what", "number"], 1);
    for (what, number) in [
        ("events of both journals", checked.events),
        ("events decided again", checked.redecided),
        ("input records with their one decision", checked.inputs_decided),
        ("input records that wait for one", checked.inputs_waiting),
        ("records of other topics, against the journals", checked.outputs),
        ("ledger transactions: hash, chain, balance", checked.ledger_transactions),
        ("closed batches, added up", checked.batches),
        ("payouts, against their batches", checked.payouts),
        ("keys and payment ids, looked at for a second use", checked.keys),
    ] {
        sheet.row([what.to_owned(), count(number)]);
    }
    sheet.print();
    if !report.not_checked.is_empty() {
        let mut sheet = Sheet::new("Not checked", &["why", "first", "records"], 2);
        for skipped in &report.not_checked {
            let details: Vec<String> =
                skipped.details.iter().map(|(what, number)| format!("{what}: {}", count(*number))).collect();
            let details =
                if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
            sheet.row([
                format!("{}{details}", skipped.title),
                skipped.first.to_string(),
                count(skipped.count),
            ]);
        }
        sheet.print();
    }
    let Some(first) = &report.first else {
        output::data("\nNo difference found.");
        return;
    };
    let mut sheet = Sheet::new("Found", &["code", "what", "number"], 2);
    for kind in &report.findings_by_code {
        sheet.row([kind.code.to_owned(), kind.title.to_owned(), count(kind.count)]);
    }
    sheet.print();
    let place = &first.place;
    output::data(format!("\nThe first difference: {place} [{}] {}", first.code, first.title));
    if let Some(from) = first.first_possible_offset {
        output::data(format!("  it can have stood at any offset from {from} to {}", place.offset));
    }
    output::data(format!("  {}", first.detail));
    if let Some(source) = &first.source {
        output::data(format!("  it follows from {source}"));
    }
    for (name, side) in [("expected", &first.expected), ("found", &first.found)] {
        if let Some(side) = side {
            let side = serde_json::to_string(side).expect("plain values become JSON");
            output::data(format!("  {name}: {side}"));
        }
    }
    if !report.further.is_empty() {
        output::data("\nFurther:");
    }
    for finding in report.further.iter().take(SHOWN) {
        let follows = if finding.is_consequence { " (follows from another)" } else { "" };
        output::data(format!("  {} [{}] {}{follows}", finding.place, finding.code, finding.detail));
    }
    if report.further.len() > SHOWN {
        output::data("  and more; --format json has up to 50 of each kind");
    }
    output::data(format!("\nMore: docs/errors/{}.md", first.code));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_instant_a_day_or_a_time_before_now() {
        let now = Timestamp::from_micros(1_772_450_000_000_000);
        let cases = [
            ("2026-03-02T09:15:00Z", 1_772_442_900_000_000),
            ("2026-03-02T10:15:00+01:00", 1_772_442_900_000_000),
            ("2026-03-02", 1_772_409_600_000_000),
            ("26h", 1_772_450_000_000_000 - 26 * 3_600_000_000),
            ("2d", 1_772_450_000_000_000 - 172_800_000_000),
        ];
        for (text, micros) in cases {
            assert_eq!(since(text, now).expect(text), Timestamp::from_micros(micros), "{text}");
        }
        for text in ["", "yesterday", "-1h", "h", "2026-03-02T09:15:00"] {
            assert!(since(text, now).is_err(), "{text:?}");
        }
    }
}
