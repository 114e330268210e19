//! The two contenders without logic: what a pipeline costs that decides nothing.
//!
//! *Echo* copies each request once. The *null pipeline* writes, in two hops, as many records of the same sizes to the
//! same topics as Settle does, out of a sample of Settle's own output. Both are exactly once: offsets travel in the
//! transaction.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use settle_log::partition_for_key;
use settle_types::topic;

use crate::args::{FloorArguments, FloorKind};
use crate::clock::now;
use crate::templates::Templates;

/// Longest wait for a commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a hop makes of a record.
#[derive(Clone, Copy)]
enum Hop<'a> {
    /// The same record, to the journal of AUTHORIZE.
    Echo,
    /// As many bytes as a decision, and where Settle approves, as what is approved.
    Authorize(&'a Templates),
    /// As many bytes as an event of SETTLE, and as a ledger transaction.
    Settle(&'a Templates),
}

impl Hop<'_> {
    fn input(self) -> &'static str {
        match self {
            Self::Echo | Self::Authorize(_) => topic::REQUESTED,
            Self::Settle(_) => topic::APPROVED,
        }
    }

    fn group(self, application: &str) -> String {
        match self {
            Self::Echo | Self::Authorize(_) => format!("{application}-authorize"),
            Self::Settle(_) => format!("{application}-settle"),
        }
    }
}

/// Runs until it is killed.
pub(crate) fn run(arguments: &FloorArguments) -> anyhow::Result<()> {
    let templates = arguments.templates.as_deref().map(Templates::read).transpose()?;
    let hops = match (arguments.kind, &templates) {
        (FloorKind::Echo, _) => vec![Hop::Echo],
        (FloorKind::Null, Some(templates)) => vec![Hop::Authorize(templates), Hop::Settle(templates)],
        (FloorKind::Null, None) => bail!("the null pipeline needs --templates"),
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for hop in &hops {
            for ordinal in 0..arguments.workers {
                threads.push(scope.spawn(move || Worker::open(*hop, arguments, ordinal)?.run()));
            }
        }
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        Ok(())
    })
}

struct Worker<'a> {
    hop: Hop<'a>,
    partitions: u32,
    commit_interval: Duration,
    consumer: BaseConsumer,
    producer: BaseProducer,
    /// Next offset by partition, where something was read since the last commit.
    read: Vec<Option<i64>>,
    seen: u64,
}

impl<'a> Worker<'a> {
    fn open(hop: Hop<'a>, arguments: &FloorArguments, ordinal: u32) -> anyhow::Result<Self> {
        let group = hop.group(&arguments.application);
        // The settings of Settle's own clients, so far as they matter for speed.
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &arguments.bootstrap)
            .set("group.id", &group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", "16384")
            .set("queued.min.messages", "20000")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "50")
            // By default a partition whose queue was full once is left alone for a second.
            .set("fetch.queue.backoff.ms", "20")
            .create()?;
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &arguments.bootstrap)
            .set("transactional.id", format!("{group}-{ordinal}"))
            .set("transaction.timeout.ms", "30000")
            .set("compression.type", "lz4")
            // As Settle's: one request for each partition and transaction. With a short time the client's thread spins.
            .set("linger.ms", "200")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "500000")
            .create()?;
        producer.init_transactions(COMMIT_TIMEOUT).context("take the transactional id over")?;
        let mut own = TopicPartitionList::new();
        for number in (0..arguments.partitions).filter(|number| number % arguments.workers == ordinal) {
            own.add_partition_offset(hop.input(), i32::try_from(number)?, Offset::Beginning)?;
        }
        consumer.assign(&own)?;
        let read = vec![None; usize::try_from(arguments.partitions)?];
        let commit_interval = Duration::from_millis(arguments.commit_interval_ms);
        Ok(Self { hop, partitions: arguments.partitions, commit_interval, consumer, producer, read, seen: 0 })
    }

    fn run(mut self) -> anyhow::Result<()> {
        loop {
            let mut is_open = false;
            let mut began = now();
            loop {
                if let Some(message) = self.consumer.poll(Duration::from_millis(5)) {
                    let message = message?;
                    if !is_open {
                        self.producer.begin_transaction()?;
                        began = now();
                        is_open = true;
                    }
                    let partition = message.partition();
                    self.read[usize::try_from(partition)?] = Some(message.offset() + 1);
                    copy(self.hop, &self.producer, &message, self.partitions, self.seen)?;
                    self.seen += 1;
                }
                // A look at the clock costs as much as a record.
                if self.seen.is_multiple_of(64) || !is_open {
                    self.producer.poll(Duration::ZERO);
                }
                if is_open && began.elapsed() >= self.commit_interval {
                    break;
                }
            }
            self.commit()?;
        }
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        let mut offsets = TopicPartitionList::new();
        for (number, next) in (0_i32..).zip(&mut self.read) {
            if let Some(next) = next.take() {
                offsets.add_partition_offset(self.hop.input(), number, Offset::Offset(next))?;
            }
        }
        let metadata = self.consumer.group_metadata().context("the consumer has a group")?;
        // Records are on their way while the positions are published.
        let _ = self.producer.flush(Duration::from_millis(1));
        self.producer.send_offsets_to_transaction(&offsets, &metadata, COMMIT_TIMEOUT)?;
        while self.producer.in_flight_count() > 0 {
            // Sends what waits, and takes acknowledgements in, for this long; what is left is no error.
            let _ = self.producer.flush(Duration::from_millis(1));
        }
        self.producer.commit_transaction(COMMIT_TIMEOUT).context("commit")?;
        Ok(())
    }
}

fn copy(
    hop: Hop<'_>,
    producer: &BaseProducer,
    message: &impl Message,
    partitions: u32,
    seen: u64,
) -> anyhow::Result<()> {
    let partition = message.partition();
    let key = message.key().unwrap_or_default();
    match hop {
        Hop::Echo => send(producer, topic::DECIDED, partition, key, message.payload().unwrap_or_default()),
        Hop::Authorize(templates) => {
            let decided = templates.decided.at(seen);
            send(producer, topic::DECIDED, partition, key, &decided.value)?;
            if templates.is_approved(seen) {
                let approved = templates.approved.at(seen);
                let to = i32::try_from(partition_for_key(&approved.key, partitions))?;
                send(producer, topic::APPROVED, to, &approved.key, &approved.value)?;
            }
            Ok(())
        }
        Hop::Settle(templates) => {
            send(producer, topic::SETTLEMENT_EVENTS, partition, key, &templates.events.at(seen).value)?;
            send(producer, topic::LEDGER_TRANSACTIONS, partition, key, &templates.ledger.at(seen).value)
        }
    }
}

fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                record = returned;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error).with_context(|| format!("write {topic}")),
        }
    }
}
