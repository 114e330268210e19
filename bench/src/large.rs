//! A state of many keys: what a restore of it takes, and what decisions on it cost.
//!
//! To get there by deciding would take hours. So the journal is written here, by the same pure core that decides in a
//! worker: requests with keys of their own, each decided as the first of its key on an empty state, with dense sequences
//! and the positions of requests that are really there. A process with nothing on disk restores from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::{Deserialize, Serialize};
use settle_engine::authorize::{Authorize, AuthorizeConfig, Command};
use settle_engine::stage::activation;
use settle_engine::{ActiveConfig, Meta, Rows, Stage};
use settle_log::partition_for_key;
use settle_types::authorize::{Decision, DecisionEvent, Outcome};
use settle_types::event::SourcePosition;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{Duration as Micros, Timestamp, topic};

use crate::args::RunArguments;
use crate::clock::now;
use crate::contender::{Contender, Setup};
use crate::kafka::{self, Positions};
use crate::plan::say;
use crate::process::{Process, cpu_seconds, peak_rss_mib};
use crate::recovery::{self, Recovery};
use crate::{cluster, load};

/// Payments of a debtor.
const PAYMENTS_PER_DEBTOR: u64 = 10;
/// A state of many keys gets at least one new payment for so many keys: with fewer, the compactions of their own rows would not be
/// part of the measurement, and those that the restore left behind most of it.
const KEYS_PER_PAYMENT: u64 = 10;
/// Requests that wait for the restore to end.
const WAITING: u64 = 1_000;
/// Longest run on what was restored.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Large {
    /// Decisions in the journal: as many keys and payments in the state.
    pub(crate) keys: u64,
    /// Events replayed in a second, from the start of the process to its first commit.
    pub(crate) replayed_per_second: f64,
    /// Events replayed for a second of CPU.
    pub(crate) replayed_per_cpu_second: f64,
    /// Then, payments decided in a second.
    pub(crate) payments_per_second: f64,
    /// CPU seconds for a million of them.
    pub(crate) client_cpu_per_million: f64,
    /// Highest resident memory, MiB.
    pub(crate) peak_rss_mib: f64,
    /// After `kill -9`, the state on disk.
    pub(crate) after_kill: Vec<Recovery>,
    /// The same in a group of the newer protocol (KIP-848). A process that the group refuses is started again.
    pub(crate) after_kill_kip_848: Recovery,
    /// With nothing on disk, from the journal.
    pub(crate) empty_machine: Recovery,
    /// With nothing on disk, from snapshots of all partitions and the rest of the journal, unless it was left out.
    pub(crate) empty_machine_with_snapshots: Option<Recovery>,
}

/// Starts after `kill -9` that are measured.
const KILLS: u32 = 3;

/// A process of AUTHORIZE on a state of many keys, as its phases need it.
struct Subject<'a> {
    setup: &'a Setup,
    application: String,
    positions: Positions,
}

impl Subject<'_> {
    fn log_of(&self, name: &str) -> PathBuf {
        self.setup.logs.join(format!("{}-{name}.log", self.application))
    }

    fn start(&self, name: &str, settings: &[String]) -> anyhow::Result<Process> {
        let contender = Contender::SettleAuthorize;
        let mut command = self.setup.command(contender, &self.application)?;
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        Process::start(contender.title(), &command, &self.log_of(name))
    }

    fn lose_state(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.setup.state(&self.application))
            .context("remove the state of the process")
    }

    /// What a start took, once it is over; says so.
    fn recovered(&self, how: &str, process: &mut Process) -> anyhow::Result<Recovery> {
        let recovery = Recovery::of(&self.positions, process, now())?;
        say(&format!("{}: {how}: {:.2} s to the first commit", self.application, recovery.first_seconds));
        Ok(recovery)
    }

    /// A start with nothing on disk, from the journal.
    #[expect(clippy::cast_precision_loss, reason = "a number of keys is far below 2^52")]
    fn restore(&self, keys: u64) -> anyhow::Result<(Process, Restored)> {
        // Some requests for each partition, so that there is something to commit once the restore has ended.
        load::to_kafka(&self.setup.bootstrap, WAITING, 7_000, self.setup.partitions)?;
        let began = now();
        let mut process = self.start("restores", &[])?;
        let recovery = self.recovered("from the journal", &mut process)?;
        let restored = i64::try_from(keys + WAITING)?;
        wait(&mut process, || Ok(self.positions.sum()? >= restored))?;
        let seconds = began.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds(process.id()).context("the process is there")?;
        say(&format!("{keys} keys: replayed in {seconds:.1} s, {cpu_seconds:.1} s of CPU"));
        Ok((process, Restored { keys: keys as f64, seconds, cpu_seconds, recovery }))
    }

    /// Decides new payments as fast as it can.
    #[expect(clippy::cast_precision_loss, reason = "a number of payments is far below 2^52")]
    fn work(&self, process: &mut Process, payments: u64) -> anyhow::Result<Worked> {
        load::to_kafka(&self.setup.bootstrap, payments, 8_000, self.setup.partitions)?;
        let ends = kafka::ends(&self.setup.bootstrap, topic::REQUESTED, self.setup.partitions)?;
        let total: i64 = ends.values().sum();
        let before = (now(), self.positions.sum()?, cpu_seconds(process.id()).unwrap_or(0.0));
        wait(process, || Ok(self.positions.sum()? >= total))?;
        let (seconds, decided) = (before.0.elapsed().as_secs_f64(), total - before.1);
        let cpu_seconds = cpu_seconds(process.id()).unwrap_or(0.0) - before.2;
        ensure!(
            decided > 0,
            "nothing was left to be decided when the measurement began: more payments are needed"
        );
        let peak_rss_mib = peak_rss_mib(process.id()).unwrap_or(f64::NAN);
        say(&format!(
            "{}: {decided} payments in {seconds:.1} s, {cpu_seconds:.1} s of CPU, {peak_rss_mib:.0} MiB",
            self.application
        ));
        Ok(Worked { decided: decided as f64, seconds, cpu_seconds, peak_rss_mib })
    }

    /// Starts on the state that `kill -9` left on disk.
    fn after_kills(&self, mut process: Process) -> anyhow::Result<(Vec<Recovery>, Process)> {
        let mut starts = Vec::new();
        for number in 1..=KILLS {
            recovery::work_for_a_while(&mut process)?;
            process.kill();
            process = self.start(&format!("killed-{number}"), &[])?;
            starts.push(self.recovered("after kill -9", &mut process)?);
        }
        Ok((starts, process))
    }

    /// A start with nothing on disk but snapshots elsewhere, which a process before it made.
    fn start_from_snapshots(&self, snapshots: &Path) -> anyhow::Result<Recovery> {
        let with_snapshots = [
            format!("snapshots.url=file://{}", snapshots.display()),
            // Long enough that each partition has one, and none is made while a start is measured.
            "snapshots.interval_seconds=20".to_owned(),
        ];
        let mut process = self.start("makes-snapshots", &with_snapshots)?;
        wait(&mut process, || {
            let said = std::fs::read_to_string(self.log_of("makes-snapshots")).unwrap_or_default();
            Ok(said.matches("a snapshot was made").count() >= usize::try_from(self.setup.partitions)?)
        })?;
        process.kill();
        self.lose_state()?;
        let mut process = self.start("from-snapshots", &with_snapshots)?;
        let recovery = self.recovered("from snapshots", &mut process)?;
        process.kill();
        Ok(recovery)
    }

    /// A start after `kill -9` in a group of the newer protocol.
    fn after_kill_kip_848(&self) -> anyhow::Result<Recovery> {
        let newer_protocol = ["kafka.group_protocol=consumer".to_owned()];
        // The group changes its protocol when it has no members of the old one.
        let begins = || self.start("kip-848", &newer_protocol);
        let (_, mut process) = Recovery::of_restarted(&self.positions, now(), begins)?;
        recovery::work_for_a_while(&mut process)?;
        process.kill();
        let (recovery, process) = Recovery::of_restarted(&self.positions, now(), begins)?;
        process.stop(Duration::from_secs(60))?;
        Ok(recovery)
    }
}

/// Writes the journal, restores it, works on it, kills and starts the process.
pub(crate) fn run(setup: &Setup, keys: u64, arguments: &RunArguments) -> anyhow::Result<Large> {
    let application = format!("large-{keys}");
    cluster::reset_all(setup)?;
    say(&format!("writing a journal of {keys} decisions"));
    write_journal(setup, keys)?;
    let (group, input) = Contender::SettleAuthorize.stages(&application).swap_remove(0);
    let positions = Positions::open(&setup.bootstrap, &group, input, setup.partitions)?;
    let subject = Subject { setup, application, positions };
    let (mut process, restored) = subject.restore(keys)?;
    let worked = subject.work(&mut process, arguments.payments.max(keys / KEYS_PER_PAYMENT))?;
    let snapshots = setup.work.join(format!("snapshots-{keys}"));
    let (after_kill, empty_machine_with_snapshots, after_kill_kip_848) =
        recovery::under_load(setup, arguments.seed, || {
            let (after_kill, process) = subject.after_kills(process)?;
            process.stop(Duration::from_secs(60))?;
            let with_snapshots = match arguments.no_snapshots {
                true => None,
                false => Some(subject.start_from_snapshots(&snapshots)?),
            };
            Ok((after_kill, with_snapshots, subject.after_kill_kip_848()?))
        })?;
    let _ = std::fs::remove_dir_all(snapshots);
    let _ = subject.lose_state();
    Ok(Large {
        keys,
        replayed_per_second: restored.keys / restored.seconds,
        replayed_per_cpu_second: restored.keys / restored.cpu_seconds,
        payments_per_second: worked.decided / worked.seconds,
        client_cpu_per_million: worked.cpu_seconds / worked.decided * 1_000_000.0,
        peak_rss_mib: worked.peak_rss_mib,
        after_kill,
        after_kill_kip_848,
        empty_machine: restored.recovery,
        empty_machine_with_snapshots,
    })
}

/// What a restore from the journal took.
struct Restored {
    keys: f64,
    /// Until all partitions had decided what waited.
    seconds: f64,
    cpu_seconds: f64,
    recovery: Recovery,
}

/// What decisions on the restored state took.
struct Worked {
    decided: f64,
    seconds: f64,
    cpu_seconds: f64,
    /// The restore included.
    peak_rss_mib: f64,
}

fn wait(process: &mut Process, mut is_done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let began = now();
    while !is_done()? {
        process.check()?;
        if began.elapsed() > PATIENCE {
            bail!("not done within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The position of a partition in the journal that is written.
struct Partition {
    meta: Meta,
    next_offset: i64,
}

/// Writes `keys` requests and the decisions about them.
fn write_journal(setup: &Setup, keys: u64) -> anyhow::Result<()> {
    let configuration: settle_config::Config = toml::from_str(include_str!("../settle.toml"))?;
    let configuration_activation = activation(&configuration.authorize_settings());
    let config = AuthorizeConfig::from_activation(&configuration_activation)?;
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &setup.bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    let mut partitions: Vec<Partition> = (0..i32::try_from(setup.partitions)?)
        .map(|number| Partition { meta: Meta::new(number), next_offset: 0 })
        .collect();
    let mut value = Vec::new();
    for (number, partition) in (0_i32..).zip(&mut partitions) {
        // The first event of a journal activates the configuration.
        let command = Authorize::activate(configuration_activation.clone());
        let events = Authorize::decide(&Rows::default(), &partition.meta, &config, &command, start_of_day());
        write_events(&producer, number, &events, partition, &mut value)?;
    }
    for number in 0..keys {
        let request = request(number, keys);
        let key = request.debtor_account.as_str().as_bytes().to_vec();
        let target = partition_for_key(&key, setup.partitions);
        let partition = &mut partitions[usize::try_from(target)?];
        let target = i32::try_from(target)?;
        value.clear();
        settle_schema::encode(&request, &mut value);
        send(&producer, topic::REQUESTED, target, &key, &value)?;
        let position = SourcePosition {
            topic: topic::REQUESTED.into(),
            partition: target,
            offset: partition.next_offset,
        };
        partition.next_offset += 1;
        let command = Command::request(position, Ok(request), |_| target, &config);
        let now = Authorize::now(&partition.meta, &config, &command, end_of_day());
        let mut rows = Rows::default();
        let mut missing = Vec::new();
        Authorize::keys(&command, now, &rows, &mut missing);
        for key in missing.drain(..) {
            rows.fetched(key, None);
        }
        let events = Authorize::decide(&rows, &partition.meta, &config, &command, now);
        for decision in events.iter().filter_map(|event| event.decision.as_ref()) {
            let Decision { outcome, reasons, .. } = decision;
            ensure!(
                *outcome == Outcome::Approved,
                "old payment {number} leaves no key: {outcome:?}, {reasons:?}"
            );
        }
        write_events(&producer, target, &events, partition, &mut value)?;
    }
    producer.flush(Duration::from_secs(300)).context("write the journal")?;
    Ok(())
}

fn write_events(
    producer: &ThreadedProducer<DefaultProducerContext>,
    number: i32,
    events: &[DecisionEvent],
    partition: &mut Partition,
    value: &mut Vec<u8>,
) -> anyhow::Result<()> {
    for event in events {
        value.clear();
        settle_schema::encode(event, value);
        let key = Authorize::journal_key(event, None).unwrap_or_default();
        send(producer, topic::DECIDED, number, &key, value)?;
        partition.meta.advance(event.sequence, event.now, event.input.as_ref());
    }
    Ok(())
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    name: &str,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(name).partition(partition).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                record = returned;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err((error, _)) => return Err(error).with_context(|| format!("write {name}")),
        }
    }
}

/// The morning of the day of the generated traffic, which follows.
fn start_of_day() -> Timestamp {
    Timestamp::from_micros(1_772_323_200_000_000)
}

/// What the wall clock says meanwhile: a request that is dated behind it is not ahead of it.
fn end_of_day() -> Timestamp {
    start_of_day().saturating_add(Micros::from_days(1))
}

/// Spreads numbers over the key space, as random ids are: keys that ascend are inserted and compacted for next to nothing.
/// The factor is odd, so that no two numbers give the same.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A number in letters: in digits, some would pass for card numbers.
fn letters(number: u64) -> String {
    format!("{number:016x}")
        .bytes()
        .map(|digit| char::from(if digit.is_ascii_digit() { digit - b'0' + b'g' } else { digit }))
        .collect()
}

/// A payment with a key of its own. All of a debtor's stay below every limit.
fn request(number: u64, keys: u64) -> PaymentRequested {
    let id = spread(number);
    let letters = letters(id);
    let debtor = (id >> 32) % (keys / PAYMENTS_PER_DEBTOR).max(1);
    // In order: a request that is far ahead of the ones before it is refused.
    let seconds = u32::try_from(number * 80_000 / keys).expect("less than a day has");
    PaymentRequested {
        event_type: EventType::Payment,
        payment_id: format!("old-{letters}").as_str().into(),
        idempotency_key: format!("okey-{letters}").as_str().into(),
        debtor_account: format!("old-acct-{debtor:x}").as_str().into(),
        merchant_id: format!("m-{:04}", number % 200).as_str().into(),
        amount_minor: i64::try_from(100 + number % 5_000).expect("a small amount"),
        currency: "EUR".into(),
        payment_method: "CARD".into(),
        country: Some("CZ".into()),
        requested_at: start_of_day().saturating_add(Micros::from_seconds(seconds)),
        ..PaymentRequested::default()
    }
}
