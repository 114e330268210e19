//! `settle demo`: a generated day of payments through both stages, on the embedded log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use settle_config::Config;
use settle_ingest::generate::{Traffic, TrafficOptions};
use settle_log::Log;
use settle_runtime::clock::{SystemClock, monotonic_now};
use settle_runtime::{Pipeline, RunMode, StageSelection, Stats};
use settle_schema::Schemas;
use settle_store::Resources;
use settle_types::CurrencyTable;

use super::produce::Sink;
use crate::args::{Common, DemoArguments};
use crate::failure::usage;
use crate::output::{self, count};
use crate::report::Report;
use crate::{Ended, open, settings, signals, telemetry};

/// Stands in a folder that a demo made and may replace.
const MARKER: &str = ".settle-demo";
/// The configuration, beside log and state, for the commands to try next.
const CONFIG_FILE: &str = "settle.toml";

/// Runs `settle demo`.
pub(crate) fn run(common: &Common, arguments: &DemoArguments) -> anyhow::Result<Ended> {
    telemetry::start(common.log_level.as_deref().unwrap_or("warn"), false);
    let directory = &arguments.data_dir;
    prepare(directory)?;
    let mut config = settle_config::demo_config();
    config.embedded.directory = Some(directory.clone());
    config.worker.workers = arguments.workers;
    let config_file = directory.join(CONFIG_FILE);
    std::fs::write(&config_file, settle_config::to_toml(&config))
        .with_context(|| format!("could not write {}", config_file.display()))?;
    let log = open::log_with_topics(&config)?;
    let started = monotonic_now();
    produce(&log, arguments)?;
    let produced_in = started.elapsed();
    let run_started = monotonic_now();
    let was_stopped = settle(&log, &config, arguments.payments)?;
    let settled_in = run_started.elapsed();
    if was_stopped {
        return Ok(Ended::Interrupted);
    }
    let report = Report::read(&*log)?;
    report.print(&CurrencyTable::with_overrides(&config.currencies));
    anyhow::ensure!(
        report.is_balanced(),
        "the ledger does not balance: please report it with seed {}",
        arguments.seed
    );
    throughput(arguments, &report, produced_in, settled_in);
    next_commands(directory);
    Ok(Ended::Done)
}

/// An empty folder with a marker. A folder of somebody else's is never touched.
fn prepare(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    if directory.join(MARKER).exists() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("could not replace the earlier demo in {shown}"))?;
    }
    let is_used = directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_used {
        return Err(usage(
            format!("{shown} is not empty, and no demo made it"),
            "give another folder with --data-dir",
        ));
    }
    std::fs::create_dir_all(directory).with_context(|| format!("could not create {shown}"))?;
    std::fs::write(directory.join(MARKER), "").with_context(|| format!("could not write to {shown}"))
}

fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<10} [{bar:40}] {pos:>9}/{len} {per_sec:>14}  {elapsed}");
    let style = style.expect("the template is a constant").progress_chars("=> ");
    // Drawn on standard error, and only where that is a terminal.
    ProgressBar::new(length).with_style(style).with_message(what)
}

fn produce(log: &Arc<dyn Log>, arguments: &DemoArguments) -> anyhow::Result<()> {
    output::message(format!(
        "generating {} requests of one day (seed {}) into {}",
        count(arguments.payments),
        arguments.seed,
        arguments.data_dir.display()
    ));
    let progress = bar(arguments.payments, "requests");
    let mut sink = Sink::new(log, Schemas::built_in(), None)?;
    let options =
        TrafficOptions { payments: arguments.payments, seed: arguments.seed, ..TrafficOptions::default() };
    for generated in Traffic::new(options) {
        sink.generated(&generated)?;
        progress.set_position(sink.written);
    }
    sink.commit()?;
    progress.finish();
    Ok(())
}

/// Runs both stages until idle and finishes; true if it was interrupted.
fn settle(log: &Arc<dyn Log>, config: &Config, requests: u64) -> anyhow::Result<bool> {
    output::message("deciding and settling");
    let options = settings::pipeline_options(config, StageSelection::All)?;
    let resources = Resources::new(settings::store_options(config))?;
    let pipeline = Pipeline::new(Arc::clone(log), resources, Arc::new(SystemClock), options);
    let stop = pipeline.stop_flag();
    signals::stop_on_signal(Arc::clone(&stop))?;
    let is_over = AtomicBool::new(false);
    let stats = pipeline.stats();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| watch(&stats, requests, &is_over));
        let outcome = pipeline.run(RunMode::UntilIdle { finish: true });
        is_over.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    Ok(stop.load(Ordering::Relaxed))
}

/// Draws how far each stage is.
fn watch(stats: &Stats, requests: u64, is_over: &AtomicBool) {
    let authorize = bar(requests, "decided");
    loop {
        let ended = is_over.load(Ordering::Relaxed);
        let snapshot = stats.snapshot();
        let of_stage = |stage: &str| -> u64 {
            let outcomes = snapshot.outcomes.iter();
            outcomes.filter(|((name, _), _)| *name == stage).map(|(_, number)| number).sum()
        };
        let decided = of_stage("authorize").min(requests);
        if decided < requests && !ended {
            authorize.set_position(decided);
        } else {
            authorize.set_message("settled");
            authorize.set_position(of_stage("settle").min(requests));
        }
        if ended {
            return authorize.finish();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn throughput(arguments: &DemoArguments, report: &Report, produced_in: Duration, settled_in: Duration) {
    let millis = u64::try_from(settled_in.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = report.decisions().saturating_mul(1_000) / millis;
    output::data(format!(
        "\n{} requests decided and settled in {}.{:01} s: {} per second through both stages, {} worker(s) a stage (written in {}.{:01} s)",
        count(report.decisions()),
        settled_in.as_secs(),
        settled_in.subsec_millis() / 100,
        count(per_second),
        arguments.workers,
        produced_in.as_secs(),
        produced_in.subsec_millis() / 100,
    ));
}

fn next_commands(directory: &Path) {
    let program = std::env::args().next().unwrap_or_else(|| "settle".to_owned());
    let config = directory.join(CONFIG_FILE);
    output::data("\nNext:");
    for (command, what) in [
        ("topics list", "what was written where"),
        ("topics tail payments.decided --limit 3 --format json", "the last decisions"),
        ("dead-letter list --code CARD_NUMBER_PRESENT", "what was not taken, and why"),
        ("inspect merchant m-0001", "batches and balances of a merchant"),
        ("inspect balance revenue:fees", "what was earned"),
        ("verify", "all of it checked, and decided again"),
    ] {
        output::data(format!("  {program} {command} --config {}    # {what}", config.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use settle_ingest::generate::{
        DENIED_COUNTRY, DENIED_DEBTOR, LIMIT_DAILY_COUNT, LIMITS_DAILY_SUM_MINOR, LIMITS_PER_PAYMENT_MINOR,
    };
    use settle_risk::CheckKind;
    use settle_types::Currency;

    /// The generated day is made to trip the demo's rules: both have to name the same numbers.
    #[test]
    fn the_demo_has_the_limits_that_its_traffic_is_made_for() {
        let rules = settle_config::demo_config().risk.rules;
        let of_kind = |kind| rules.iter().find(|rule| rule.check == kind).expect("the demo has such a rule");
        let table = |limits: [(&str, i64); 6]| -> BTreeMap<Currency, i64> {
            limits.into_iter().map(|(code, limit)| (Currency::new(code).expect("a code"), limit)).collect()
        };
        let per_payment = of_kind(CheckKind::LimitPerPayment);
        assert_eq!(per_payment.limits_minor, Some(table(LIMITS_PER_PAYMENT_MINOR)));
        let daily_sum = of_kind(CheckKind::LimitDailySum);
        assert_eq!(daily_sum.limits_minor, Some(table(LIMITS_DAILY_SUM_MINOR)));
        let daily_count = of_kind(CheckKind::LimitDailyCount).limits.as_ref().expect("a table of counts");
        assert!(daily_count.values().all(|limit| *limit == LIMIT_DAILY_COUNT));
        let denied: Vec<&String> = rules.iter().filter_map(|rule| rule.values.as_ref()).flatten().collect();
        assert!(denied.iter().any(|value| *value == DENIED_DEBTOR), "{denied:?}");
        assert!(denied.iter().any(|value| *value == DENIED_COUNTRY), "{denied:?}");
    }
}
