//! One run of one contender on the prepared requests: as fast as it can.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use settle_test_services::audit;
use settle_test_services::kafka::Cluster;
use settle_types::topic;

use crate::clock::now;
use crate::cluster;
use crate::contender::{Contender, Setup};
use crate::gate::{self, Verdict};
use crate::kafka::{self, Positions};
use crate::process::{Process, cpu_seconds, peak_rss_mib};
use crate::stats::{Sample, window};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Longest time to the first committed record.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// Longest run.
const RUN_PATIENCE: Duration = Duration::from_secs(900);
/// Silence after which a run is over although markers of transactions seem to be missing.
const SILENCE: Duration = Duration::from_secs(15);

/// What a run gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Throughput {
    /// Who ran.
    pub(crate) contender: Contender,
    /// Payments in a second, without warm-up and tail.
    pub(crate) payments_per_second: f64,
    /// CPU seconds of the contender for a million payments.
    pub(crate) client_cpu_per_million: f64,
    /// CPU seconds of the brokers for a million payments.
    pub(crate) broker_cpu_per_million: f64,
    /// Highest resident memory, MiB.
    pub(crate) peak_rss_mib: f64,
    /// Seconds from the start of the process to its first commit.
    pub(crate) first_commit_seconds: f64,
    /// Seconds from its start to its last commit.
    pub(crate) whole_seconds: f64,
    /// CPU seconds over the whole life of the process.
    pub(crate) whole_client_cpu: f64,
    /// What was judged; nothing for a contender without logic.
    pub(crate) verdict: Option<Verdict>,
}

/// Runs a contender once, measures it and judges what it wrote.
pub(crate) fn run(
    cluster: &Cluster,
    setup: &Setup,
    contender: Contender,
    payments: u64,
    application: &str,
) -> anyhow::Result<Throughput> {
    let (watched, peak_rss_mib) = work_off(cluster, setup, contender, application)?;
    let verdict = match contender {
        Contender::Echo | Contender::Null => {
            let found = gate::count(&setup.bootstrap, topic::DECIDED, setup.partitions)?;
            anyhow::ensure!(found == payments, "{found} records were written for {payments} requests");
            None
        }
        _ => Some(gate::judge(&setup.bootstrap, setup.partitions, payments, contender.is_full())?),
    };
    if contender == Contender::SettleFull && !setup.templates_file().exists() {
        gate::sample(&setup.bootstrap, setup.partitions, payments)?.write(&setup.templates_file())?;
    }
    let _ = std::fs::remove_dir_all(setup.state(application));
    let counted =
        window(&watched.samples).context("the run was too short to be measured: more payments are needed")?;
    #[expect(clippy::cast_precision_loss, reason = "a number of payments is far below 2^52")]
    let millions = payments as f64 / 1_000_000.0 * counted.share;
    let last = watched.samples.last().context("a run has samples")?;
    Ok(Throughput {
        contender,
        payments_per_second: millions * 1_000_000.0 / counted.seconds,
        client_cpu_per_million: counted.client_cpu / millions,
        broker_cpu_per_million: counted.broker_cpu / millions,
        peak_rss_mib,
        first_commit_seconds: watched.first_commit,
        whole_seconds: last.at,
        whole_client_cpu: last.client_cpu,
        verdict,
    })
}

/// Runs a contender on the requests that are there until it has worked them off, and stops it.
fn work_off(
    cluster: &Cluster,
    setup: &Setup,
    contender: Contender,
    application: &str,
) -> anyhow::Result<(Watched, f64)> {
    cluster::reset(setup)?;
    let _ = std::fs::remove_dir_all(setup.state(application));
    let log = setup.logs.join(format!("{application}.log"));
    let mut process = Process::start(contender.title(), &setup.command(contender, application)?, &log)?;
    let watched = watch(cluster, setup, contender, application, &mut process)?;
    let peak_rss_mib = peak_rss_mib(process.id()).unwrap_or(f64::NAN);
    if contender.has_logic() {
        process.stop(Duration::from_secs(60))?;
    } else {
        process.kill();
    }
    Ok((watched, peak_rss_mib))
}

/// Lets the judge of `tests/services`, which shares no code with the program, look at what a contender writes.
pub(crate) fn audit(
    cluster: &Cluster,
    setup: &Setup,
    contender: Contender,
    application: &str,
) -> anyhow::Result<audit::Verdict> {
    work_off(cluster, setup, contender, application)?;
    let _ = std::fs::remove_dir_all(setup.state(application));
    let read = audit::read_all(&setup.bootstrap, &[], &audit::TOPICS, Duration::from_secs(120))?;
    Ok(audit::judge(&read))
}

struct Watched {
    samples: Vec<Sample>,
    first_commit: f64,
}

/// Looks at the groups' positions until all input is done.
fn watch(
    cluster: &Cluster,
    setup: &Setup,
    contender: Contender,
    application: &str,
    process: &mut Process,
) -> anyhow::Result<Watched> {
    let began = now();
    let stages = contender.stages(application);
    let positions: Vec<Positions> = stages
        .iter()
        .map(|(group, topic)| Positions::open(&setup.bootstrap, group, topic, setup.partitions))
        .collect::<anyhow::Result<_>>()?;
    let requests = kafka::ends(&setup.bootstrap, topic::REQUESTED, setup.partitions)?;
    let (mut looks, mut first_commit) = (Vec::new(), None);
    let mut last_sum = 0_i64;
    let mut moved_at = now();
    loop {
        process.check()?;
        let at = began.elapsed().as_secs_f64();
        let committed: Vec<BTreeMap<i32, i64>> =
            positions.iter().map(Positions::committed).collect::<anyhow::Result<_>>()?;
        let cpu = (cpu_seconds(process.id()).unwrap_or(0.0), cluster::brokers_cpu(cluster));
        let sums: Vec<i64> = committed.iter().map(|by_partition| by_partition.values().sum()).collect();
        let sum: i64 = sums.iter().sum();
        if sum > last_sum {
            last_sum = sum;
            moved_at = now();
            first_commit.get_or_insert(at);
        }
        looks.push((at, sums, cpu));
        let first_is_done = committed[0].iter().all(|(number, next)| requests.get(number) == Some(next));
        if first_is_done && last_stage_is_done(setup, &stages, &committed, moved_at.elapsed())? {
            break;
        }
        if first_commit.is_none() && began.elapsed() > START_PATIENCE {
            bail!("{} committed nothing within {START_PATIENCE:?}", contender.title());
        }
        if began.elapsed() > RUN_PATIENCE {
            bail!("{} was not done within {RUN_PATIENCE:?}", contender.title());
        }
        std::thread::sleep(LOOK);
    }
    let totals = looks.last().map(|(_, sums, _)| sums.clone()).context("a run has samples")?;
    #[expect(clippy::cast_precision_loss, reason = "offsets of a benchmark are far below 2^52")]
    let share = |done: i64, total: i64| if total == 0 { 0.0 } else { done as f64 / total as f64 };
    let samples = looks
        .into_iter()
        .map(|(at, sums, (client_cpu, broker_cpu))| {
            let done = sums.iter().zip(&totals).map(|(done, total)| share(*done, *total)).collect();
            Sample { at, done, client_cpu, broker_cpu }
        })
        .collect();
    Ok(Watched { samples, first_commit: first_commit.unwrap_or(f64::NAN) })
}

/// The second stage has read what the first has written; behind the last record stand markers of commits.
fn last_stage_is_done(
    setup: &Setup,
    stages: &[(String, &'static str)],
    committed: &[BTreeMap<i32, i64>],
    silence: Duration,
) -> anyhow::Result<bool> {
    let (Some((_, input)), Some(committed)) = (stages.get(1), committed.get(1)) else { return Ok(true) };
    let ends = kafka::ends(&setup.bootstrap, input, setup.partitions)?;
    // Each worker of the first stage may have left the marker of its last commit.
    let markers = i64::from(setup.workers);
    let is_near =
        ends.iter().all(|(number, end)| committed.get(number).is_some_and(|next| end - next <= markers));
    Ok(is_near || silence > SILENCE)
}
