//! How long a payment takes, from the moment at which it was to be sent to the moment at which a reader of committed
//! records sees its ledger transaction.
//!
//! Requests go out by a schedule that waits for nobody: if a contender stalls, the requests that it kept waiting count with
//! all of their wait (no coordinated omission). Writer and reader are in this process: one clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use settle_log::partition_for_key;
use settle_types::settle::LedgerTransaction;
use settle_types::topic;

use crate::clock::now;
use crate::contender::{Contender, Setup};
use crate::process::{Process, cpu_seconds};
use crate::{cluster, kafka, load};

/// Longest wait for the first ledger transaction.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for the last ones.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Silence after which no more come.
const SILENCE: Duration = Duration::from_secs(10);
/// Requests that show that a contender works, before the schedule begins.
const FIRST_REQUESTS: usize = 200;

/// A fixed rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Requests in a second.
    pub(crate) rate: u32,
    /// Time for which latencies do not count: a Java program compiles itself.
    pub(crate) warm_up: Duration,
    /// Time for which they do.
    pub(crate) measured: Duration,
}

/// What was measured, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Who ran.
    pub(crate) contender: Contender,
    /// Requests in a second.
    pub(crate) rate: u32,
    /// Commit interval.
    pub(crate) commit_interval_ms: u64,
    /// Ledger transactions that count.
    pub(crate) payments: u64,
    /// Half of them were as fast.
    pub(crate) p50: f64,
    /// 99 of 100.
    pub(crate) p99: f64,
    /// 999 of 1,000.
    pub(crate) p999: f64,
    /// 9,999 of 10,000.
    pub(crate) p9999: f64,
    /// The slowest.
    pub(crate) max: f64,
    /// Cores that the contender used meanwhile.
    pub(crate) client_cores: f64,
}

/// When each request was due, by partition and position.
struct Due {
    /// First offset of each partition.
    starts: Vec<i64>,
    moments: Mutex<Vec<Vec<Instant>>>,
}

impl Due {
    fn push(&self, partition: usize, moment: Instant) {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)[partition].push(moment);
    }

    fn of(&self, decision_id: &str) -> Option<Instant> {
        let mut parts = decision_id.rsplitn(3, '-');
        let offset: i64 = parts.next()?.parse().ok()?;
        let partition: usize = parts.next()?.parse().ok()?;
        let index = usize::try_from(offset - self.starts.get(partition)?).ok()?;
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).get(partition)?.get(index).copied()
    }
}

/// A request, ready to be sent.
struct Draft {
    partition: usize,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Runs a contender at a rate. All topics are made anew; `round` keeps the groups of the runs apart.
pub(crate) fn run(
    setup: &Setup,
    contender: Contender,
    schedule: Schedule,
    round: u32,
    seed: u64,
) -> anyhow::Result<Latency> {
    let application = format!("{}-latency-{}-{round}", contender.name(), schedule.rate);
    cluster::reset_all(setup)?;
    let count = u64::from(schedule.rate) * (schedule.warm_up + schedule.measured).as_secs();
    let drafts = drafts(setup, count + 1_000, seed)?;
    let starts = kafka::ends(&setup.bootstrap, topic::REQUESTED, setup.partitions)?.into_values().collect();
    let moments = Mutex::new(vec![Vec::new(); usize::try_from(setup.partitions)?]);
    let due = Due { starts, moments };
    let log = setup.logs.join(format!("{application}.log"));
    let mut process = Process::start(contender.title(), &setup.command(contender, &application)?, &log)?;
    let is_over = AtomicBool::new(false);
    let began_counting = Mutex::new(None);
    let reader = Reader::open(setup)?;
    let latency = std::thread::scope(|scope| -> anyhow::Result<Latency> {
        let reading = scope.spawn(|| reader.read(&due, &began_counting, &is_over));
        let stop = SetOnDrop(&is_over);
        let producer = producer(setup)?;
        let (first, rest) = drafts.split_at(FIRST_REQUESTS.min(drafts.len()));
        for draft in first {
            send(&producer, &due, draft, now())?;
        }
        wait_for_first(&mut process, setup)?;
        let start = now();
        *began_counting.lock().unwrap_or_else(PoisonError::into_inner) = Some(start + schedule.warm_up);
        let (mut cpu_before, mut is_counting) = (cpu_seconds(process.id()).unwrap_or(0.0), false);
        for (index, draft) in (0_u32..).zip(rest.iter().take(usize::try_from(count)?)) {
            let moment = start + Duration::from_secs(1) * index / schedule.rate;
            let early = moment.saturating_duration_since(now());
            if early > Duration::from_micros(200) {
                std::thread::sleep(early);
                process.check()?;
            }
            if !is_counting && moment >= start + schedule.warm_up {
                is_counting = true;
                cpu_before = cpu_seconds(process.id()).unwrap_or(0.0);
            }
            send(&producer, &due, draft, moment)?;
        }
        let used = cpu_seconds(process.id()).unwrap_or(0.0) - cpu_before;
        producer.flush(Duration::from_secs(30))?;
        drop(stop);
        let histogram = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        summary(contender, schedule, setup, &histogram, used)
    })?;
    process.stop(Duration::from_secs(60))?;
    let _ = std::fs::remove_dir_all(setup.state(&application));
    Ok(latency)
}

fn summary(
    contender: Contender,
    schedule: Schedule,
    setup: &Setup,
    histogram: &Histogram<u64>,
    used: f64,
) -> anyhow::Result<Latency> {
    ensure!(!histogram.is_empty(), "{}: no ledger transaction was seen in time", contender.title());
    #[expect(clippy::cast_precision_loss, reason = "a latency in microseconds is far below 2^52")]
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Latency {
        contender,
        rate: schedule.rate,
        commit_interval_ms: setup.commit_interval_ms,
        payments: histogram.len(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: at(1.0),
        client_cores: used / schedule.measured.as_secs_f64(),
    })
}

fn drafts(setup: &Setup, count: u64, seed: u64) -> anyhow::Result<Vec<Draft>> {
    let draft = |request: settle_types::request::PaymentRequested| {
        let mut value = Vec::new();
        settle_schema::encode(&request, &mut value);
        let key = request.debtor_account.as_str().as_bytes().to_vec();
        let partition = usize::try_from(partition_for_key(&key, setup.partitions))?;
        Ok(Draft { partition, key, value })
    };
    load::requests(count, seed).map(draft).collect()
}

fn producer(setup: &Setup) -> anyhow::Result<ThreadedProducer<DefaultProducerContext>> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", &setup.bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "2000000")
        .create()?)
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    due: &Due,
    draft: &Draft,
    moment: Instant,
) -> anyhow::Result<()> {
    // Known before it is sent: the reader may be faster than this thread.
    due.push(draft.partition, moment);
    let record = BaseRecord::to(topic::REQUESTED)
        .partition(i32::try_from(draft.partition)?)
        .key(&draft.key)
        .payload(&draft.value);
    producer.send(record).map_err(|(error, _)| error).context("write a request")
}

/// The contender has joined its groups, restored nothing, and works.
fn wait_for_first(process: &mut Process, setup: &Setup) -> anyhow::Result<()> {
    let began = now();
    loop {
        process.check()?;
        let ends = kafka::ends(&setup.bootstrap, topic::LEDGER_TRANSACTIONS, setup.partitions)?;
        if ends.values().sum::<i64>() > i64::from(setup.partitions) {
            return Ok(());
        }
        if began.elapsed() > START_PATIENCE {
            bail!("no ledger transaction within {START_PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    consumer: BaseConsumer,
}

impl Reader {
    fn open(setup: &Setup) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &setup.bootstrap)
            .set("group.id", "bench-latency")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "5")
            .create()?;
        let mut list = TopicPartitionList::new();
        for number in 0..i32::try_from(setup.partitions)? {
            list.add_partition_offset(topic::LEDGER_TRANSACTIONS, number, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(Self { consumer })
    }

    /// Reads until all that was sent has come, or nothing more does.
    fn read(
        &self,
        due: &Due,
        began_counting: &Mutex<Option<Instant>>,
        is_over: &AtomicBool,
    ) -> anyhow::Result<Histogram<u64>> {
        let mut histogram = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        let (mut last_at, mut over_since) = (now(), None);
        loop {
            let Some(message) = self.consumer.poll(Duration::from_millis(20)) else {
                if is_over.load(Ordering::Relaxed) {
                    let since = *over_since.get_or_insert_with(now);
                    if last_at.elapsed() > SILENCE || since.elapsed() > END_PATIENCE {
                        return Ok(histogram);
                    }
                }
                continue;
            };
            let message = message.context("read the ledger")?;
            let seen_at = now();
            last_at = seen_at;
            let transaction: LedgerTransaction =
                settle_schema::decode(message.payload().unwrap_or_default()).context("read the ledger")?;
            let Some(decision_id) = transaction.decision_id else { continue };
            let Some(moment) = due.of(decision_id.as_str()) else { continue };
            let counts_from = *began_counting.lock().unwrap_or_else(PoisonError::into_inner);
            if counts_from.is_some_and(|from| moment >= from) {
                let micros = seen_at.saturating_duration_since(moment).as_micros();
                histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
            }
            if over_since.is_some_and(|since: Instant| since.elapsed() > END_PATIENCE) {
                return Ok(histogram);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_record_is_matched_with_the_moment_of_its_request() {
        let start = now();
        let due = Due { starts: vec![0, 100], moments: Mutex::new(vec![Vec::new(), Vec::new()]) };
        due.push(1, start);
        due.push(1, start + Duration::from_millis(5));
        assert_eq!(due.of("payments.requested-1-101"), Some(start + Duration::from_millis(5)));
        assert_eq!(due.of("payments.requested-1-102"), None);
        assert_eq!(due.of("payments.requested-0-0"), None);
    }
}
