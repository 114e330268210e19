//! Settle without Kafka: both stages on the embedded log, in one process.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use settle_log::embedded::{EmbeddedOptions, SyncMode};
use settle_log::{EmbeddedLog, Log};
use settle_types::topic;

use crate::clock::now;
use crate::contender::{Setup, settle_binary};
use crate::load;
use crate::process::{Process, cpu_seconds, peak_rss_mib};

/// Longest run.
const PATIENCE: Duration = Duration::from_secs(900);

/// What was measured, over the whole of a run: there is no warm-up, and with every commit on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Embedded {
    /// Payments in a second.
    pub(crate) payments_per_second: f64,
    /// CPU seconds for a million payments.
    pub(crate) cpu_per_million: f64,
    /// Highest resident memory, MiB.
    pub(crate) peak_rss_mib: f64,
}

/// Writes the requests into an embedded log, and runs both stages until they are idle.
pub(crate) fn run(setup: &Setup, payments: u64, partitions: u32, seed: u64) -> anyhow::Result<Embedded> {
    let folder = setup.work.join("embedded");
    let _ = std::fs::remove_dir_all(&folder);
    {
        let options = EmbeddedOptions { sync: SyncMode::Never, ..EmbeddedOptions::default() };
        std::fs::create_dir_all(&folder)?;
        let log = EmbeddedLog::open(folder.join("log"), options)?;
        for name in topic::ALL {
            log.create_topic(name, partitions)?;
        }
        load::to_embedded(&log, payments, seed, partitions)?;
    }
    let mut command = std::process::Command::new(settle_binary()?);
    command.args(["run", "--until-idle", "--config"]).arg(setup.config_file());
    command.arg("--embedded").arg(&folder);
    let started = now();
    let mut process = Process::start("Settle embedded", &command, &setup.logs.join("embedded.log"))?;
    let (mut cpu, mut peak) = (0.0, 0.0);
    while !process.has_ended()? {
        // The last look before the end counts.
        cpu = cpu_seconds(process.id()).filter(|found| *found > cpu).unwrap_or(cpu);
        peak = peak_rss_mib(process.id()).unwrap_or(peak);
        if started.elapsed() > PATIENCE {
            bail!("Settle embedded was not done within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&folder).context("remove the embedded log")?;
    #[expect(clippy::cast_precision_loss, reason = "a number of payments is far below 2^52")]
    let count = payments as f64;
    Ok(Embedded {
        payments_per_second: count / seconds,
        cpu_per_million: cpu / count * 1_000_000.0,
        peak_rss_mib: peak,
    })
}
