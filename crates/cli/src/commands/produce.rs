//! `settle produce`: requests from a file, or generated, to payments.requested.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use settle_ingest::generate::{Generated, Traffic, TrafficOptions};
use settle_ingest::{Format, Mapping, RejectsFile, Requests};
use settle_log::{Log, OutputRecord, TopicName, TransactionalProducer, partition_for_key};
use settle_runtime::clock::monotonic_now;
use settle_schema::{BuiltIn, Schemas};
use settle_types::request::PaymentRequested;
use settle_types::{CurrencyTable, topic};

use crate::args::{Common, InputFormat, ProduceArguments};
use crate::failure::usage;
use crate::output::{self, count};
use crate::{Ended, open, schemas, settings};

/// Requests of one transaction, at most.
const REQUESTS_PER_COMMIT: u64 = 10_000;

/// A request dated so much after the one before it has a wrong date: 100 days.
const FAR_AHEAD_MS: i64 = 100 * 86_400_000;

/// Runs `settle produce`.
pub(crate) fn run(common: &Common, arguments: &ProduceArguments) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    let log = open::log_with_topics(&config)?;
    let schemas = schemas::to_write(schemas::registry(&config)?.as_ref(), &[BuiltIn::PaymentRequested])?;
    let mut sink = Sink::new(&log, schemas, arguments.rate)?;
    let currencies = CurrencyTable::with_overrides(&config.currencies);
    let rejected = match (&arguments.input, arguments.generate) {
        (Some(input), _) => from_file(&mut sink, input, arguments, &currencies)?,
        (None, Some(payments)) => {
            for generated in
                Traffic::new(TrafficOptions { payments, seed: arguments.seed, ..TrafficOptions::default() })
            {
                sink.generated(&generated)?;
            }
            0
        }
        (None, None) => return Err(usage("no source is named", "give --input FILE or --generate N")),
    };
    sink.commit()?;
    output::message(format!("{} requests written to {}", count(sink.written), topic::REQUESTED));
    Ok(if rejected == 0 { Ended::Done } else { Ended::WithFindings })
}

fn from_file(
    sink: &mut Sink,
    input: &Path,
    arguments: &ProduceArguments,
    currencies: &CurrencyTable,
) -> anyhow::Result<u64> {
    let format = format_of(input, arguments.input_format)?;
    let mapping = arguments.mapping.as_deref().map(Mapping::load).transpose()?;
    let rejects_path = arguments.rejects.clone().unwrap_or_else(|| default_rejects_path(input));
    let mut rejects = RejectsFile::new(rejects_path);
    for request in Requests::open(input, format, mapping, currencies)? {
        match request? {
            Ok(request) => sink.request(&request)?,
            Err(reject) => {
                output::message(format!("rejected: {reject}"));
                rejects.write(&reject)?;
            }
        }
    }
    let rejected = rejects.finish()?;
    if rejected > 0 {
        output::message(format!("{} row(s) rejected, see {}", count(rejected), rejects.path().display()));
    }
    Ok(rejected)
}

fn default_rejects_path(input: &Path) -> PathBuf {
    let mut name = input.file_name().unwrap_or_default().to_owned();
    name.push(".rejects.jsonl");
    PathBuf::from(name)
}

fn format_of(input: &Path, given: Option<InputFormat>) -> anyhow::Result<Format> {
    let ending = input.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match (given, ending) {
        (Some(InputFormat::Csv), _) | (None, "csv") => Ok(Format::Csv),
        (Some(InputFormat::Jsonl), _) | (None, "jsonl" | "ndjson") => Ok(Format::Jsonl),
        (Some(InputFormat::Avro), _) | (None, "avro") => Ok(Format::Avro),
        (None, _) => {
            let message = format!("{}: its ending does not tell the format", input.display());
            Err(usage(message, "give --input-format csv, jsonl or avro"))
        }
    }
}

/// Writes requests in transactions, at most at a rate.
pub(crate) struct Sink {
    producer: Box<dyn TransactionalProducer>,
    topic: TopicName,
    partitions: u32,
    schemas: Schemas,
    value: Vec<u8>,
    in_transaction: u64,
    last_timestamp_ms: Option<i64>,
    /// Requests committed, or in the open transaction.
    pub(crate) written: u64,
    rate: Option<u32>,
    started: Instant,
}

impl Sink {
    /// Writes to payments.requested; `rate` in requests per second.
    pub(crate) fn new(log: &Arc<dyn Log>, schemas: Schemas, rate: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self {
            producer: log.producer("settle-produce")?,
            topic: topic::REQUESTED.into(),
            partitions: open::partition_count(&**log, topic::REQUESTED)?,
            schemas,
            value: Vec::new(),
            in_transaction: 0,
            last_timestamp_ms: None,
            written: 0,
            rate,
            started: monotonic_now(),
        })
    }

    /// Writes a generated record, malformed ones as they are.
    pub(crate) fn generated(&mut self, generated: &Generated) -> anyhow::Result<()> {
        match generated {
            Generated::Request(request) => self.request(request),
            Generated::Malformed { key, bytes, timestamp } => self.record(key, bytes, timestamp.as_millis()),
        }
    }

    /// Writes a request. Key: debtor account; time of the record: that of the request, unless that is far ahead
    /// of those before it. Such a date is wrong, and a record so late would hold back all others of its partition.
    pub(crate) fn request(&mut self, request: &PaymentRequested) -> anyhow::Result<()> {
        let requested_at_ms = request.requested_at.as_millis();
        let is_far_ahead =
            self.last_timestamp_ms.is_some_and(|last| requested_at_ms.saturating_sub(last) > FAR_AHEAD_MS);
        let timestamp_ms = self.last_timestamp_ms.filter(|_| is_far_ahead).unwrap_or(requested_at_ms);
        self.last_timestamp_ms = Some(timestamp_ms);
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        self.schemas.encode(request, &mut value);
        let key = request.debtor_account.as_str().as_bytes();
        let written = self.record(key, &value, timestamp_ms);
        self.value = value;
        written
    }

    fn record(&mut self, key: &[u8], value: &[u8], timestamp_ms: i64) -> anyhow::Result<()> {
        if self.in_transaction == 0 {
            self.producer.begin()?;
        }
        self.producer.send(&OutputRecord {
            topic: &self.topic,
            partition: partition_for_key(key, self.partitions),
            timestamp_ms,
            key: Some(key),
            value: Some(value),
            headers: &[],
        })?;
        self.in_transaction += 1;
        self.written += 1;
        let is_due = self.rate.is_some_and(|rate| self.in_transaction >= u64::from(rate.div_ceil(10)));
        if self.in_transaction >= REQUESTS_PER_COMMIT || is_due {
            self.commit()?;
        }
        Ok(())
    }

    /// Commits what is open, and waits if that was faster than the rate.
    pub(crate) fn commit(&mut self) -> anyhow::Result<()> {
        if self.in_transaction > 0 {
            self.producer.commit()?;
            self.in_transaction = 0;
        }
        if let Some(rate) = self.rate.filter(|rate| *rate > 0) {
            let due = Duration::from_millis(self.written.saturating_mul(1_000) / u64::from(rate));
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
        Ok(())
    }
}
