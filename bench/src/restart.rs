//! How long a contender is gone after `kill -9`, while requests go on coming.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::{Deserialize, Serialize};
use settle_log::partition_for_key;
use settle_types::topic;

use crate::clock::now;
use crate::contender::{Contender, Setup};
use crate::kafka::Positions;
use crate::load;
use crate::process::Process;

/// Requests in a second while it is killed and started.
const RATE: u32 = 2_000;
/// How long it works at that rate before it is killed.
const BEFORE: Duration = Duration::from_secs(5);
/// Longest wait for it to work off what there is.
const WORK_PATIENCE: Duration = Duration::from_secs(1_800);
/// Longest wait for the first commit after the start.
const RESTART_PATIENCE: Duration = Duration::from_secs(300);

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Restart {
    /// Who.
    pub(crate) contender: Contender,
    /// Idempotency keys in the state, about.
    pub(crate) keys: u64,
    /// Times from the start of the new process to its first committed decision, in seconds.
    pub(crate) seconds: Vec<f64>,
    /// The same with nothing on disk: the state comes from the log.
    pub(crate) empty_machine_seconds: Option<f64>,
}

/// Works off the requests that are there, and is killed and started `times` times.
pub(crate) fn run(
    setup: &Setup,
    contender: Contender,
    keys: u64,
    times: u32,
    seed: u64,
) -> anyhow::Result<Restart> {
    let application = format!("{}-restart", contender.name());
    let (group, input) = contender.stages(&application).swap_remove(0);
    let positions = Positions::open(&setup.bootstrap, &group, input, setup.partitions)?;
    let start = |number: u32| {
        let log = setup.logs.join(format!("{application}-{number}.log"));
        Process::start(contender.title(), &setup.command(contender, &application)?, &log)
    };
    let mut process = start(0)?;
    let began = now();
    while done(&positions)? < i64::try_from(keys)? {
        process.check()?;
        if began.elapsed() > WORK_PATIENCE {
            bail!("{} did not work off {keys} requests within {WORK_PATIENCE:?}", contender.title());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let is_over = AtomicBool::new(false);
    let (seconds, empty_machine_seconds) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let trickle = scope.spawn(|| trickle(setup, seed, &is_over));
        let _stop = StopOnDrop(&is_over);
        let mut seconds = Vec::new();
        for number in 1..=times {
            std::thread::sleep(BEFORE);
            process.check()?;
            process.kill();
            process = start(number)?;
            seconds.push(first_commit(&positions, &mut process, now())?);
        }
        std::thread::sleep(BEFORE);
        process.kill();
        std::fs::remove_dir_all(setup.state(&application)).context("remove the state")?;
        process = start(times + 1)?;
        let empty = first_commit(&positions, &mut process, now())?;
        is_over.store(true, Ordering::Relaxed);
        trickle.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        Ok((seconds, empty))
    })?;
    process.stop(Duration::from_secs(60))?;
    let _ = std::fs::remove_dir_all(setup.state(&application));
    Ok(Restart { contender, keys, seconds, empty_machine_seconds: Some(empty_machine_seconds) })
}

fn done(positions: &Positions) -> anyhow::Result<i64> {
    Ok(positions.committed()?.values().sum())
}

/// Seconds until the group's positions move.
fn first_commit(positions: &Positions, process: &mut Process, started: Instant) -> anyhow::Result<f64> {
    let before = done(positions)?;
    loop {
        process.check()?;
        if done(positions)? > before {
            return Ok(started.elapsed().as_secs_f64());
        }
        if started.elapsed() > RESTART_PATIENCE {
            bail!("nothing was committed within {RESTART_PATIENCE:?} of a restart");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
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
