//! How long nobody decides after a process was killed, while requests go on coming.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::{Deserialize, Serialize};
use settle_log::partition_for_key;
use settle_types::topic;

use crate::clock::now;
use crate::contender::Setup;
use crate::kafka::Positions;
use crate::load;
use crate::process::Process;

/// Requests in a second meanwhile.
const RATE: u32 = 2_000;
/// How long a process works at that rate before it is killed.
const BEFORE: Duration = Duration::from_secs(5);
/// Longest wait for commits after a start.
const PATIENCE: Duration = Duration::from_secs(5_400);

/// What a start took, from the start of the process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// Seconds until the first decision was committed.
    pub(crate) first_seconds: f64,
    /// Seconds until each partition had one.
    pub(crate) all_seconds: f64,
}

impl Recovery {
    /// Waits until the positions of all partitions have moved.
    pub(crate) fn of(positions: &Positions, process: &mut Process, started: Instant) -> anyhow::Result<Self> {
        Self::observed(&positions.committed()?, positions, started, || process.check())
    }

    /// The same of a process that is started again whenever it ends, as a supervisor does.
    pub(crate) fn of_restarted(
        positions: &Positions,
        started: Instant,
        mut start: impl FnMut() -> anyhow::Result<Process>,
    ) -> anyhow::Result<(Self, Process)> {
        let before = positions.committed()?;
        let mut process = start()?;
        let recovery = Self::observed(&before, positions, started, || {
            if process.check().is_err() {
                process = start()?;
            }
            Ok(())
        })?;
        Ok((recovery, process))
    }

    fn observed(
        before: &BTreeMap<i32, i64>,
        positions: &Positions,
        started: Instant,
        mut check: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut first_seconds = None;
        loop {
            let moved = positions.committed()?.iter().filter(|(number, at)| **at > before[number]).count();
            let elapsed = started.elapsed().as_secs_f64();
            if moved > 0 {
                first_seconds.get_or_insert(elapsed);
            }
            if let Some(first_seconds) = first_seconds
                && moved == before.len()
            {
                return Ok(Self { first_seconds, all_seconds: elapsed });
            }
            check()?;
            if started.elapsed() > PATIENCE {
                bail!("not all partitions had a commit within {PATIENCE:?} of a start");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Does something while requests come at a low rate.
pub(crate) fn under_load<T>(
    setup: &Setup,
    seed: u64,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let trickle = scope.spawn(|| trickle(setup, seed, &is_over));
        let stop = StopOnDrop(&is_over);
        let done = work()?;
        drop(stop);
        trickle.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        Ok(done)
    })
}

/// Lets a process work before it is killed.
pub(crate) fn work_for_a_while(process: &mut Process) -> anyhow::Result<()> {
    std::thread::sleep(BEFORE);
    process.check()
}

/// Requests at a low rate, until told to stop.
fn trickle(setup: &Setup, seed: u64, is_over: &AtomicBool) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &setup.bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()?;
    let start = now();
    let mut value = Vec::new();
    // Another seed has other keys.
    for (index, request) in (0_u32..).zip(load::requests(2_000_000, seed.wrapping_add(1_000))) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep((start + Duration::from_secs(1) * index / RATE).saturating_duration_since(now()));
        value.clear();
        settle_schema::encode(&request, &mut value);
        let key = request.debtor_account.as_str().as_bytes();
        let partition = i32::try_from(partition_for_key(key, setup.partitions))?;
        let record = BaseRecord::to(topic::REQUESTED).partition(partition).key(key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).context("write a request")?;
    }
    producer.flush(Duration::from_secs(30))?;
    Ok(())
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
