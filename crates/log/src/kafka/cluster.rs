//! What all clients of one cluster in this process share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::events::{Notes, ReaderEvents};
use super::fetcher;
use super::options::KafkaOptions;
use super::problems::{Errors, Problems};
use super::statistics::StatisticsByClient;
use super::time::now;
use crate::error::{CommitError, Error};
use crate::record::TopicPartition;

/// A transactional id that was taken away this often within [`FENCE_WINDOW`] belongs to somebody else, too.
const MOST_FENCES: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_secs(300);

/// The cluster as this process knows it.
pub(super) struct Cluster {
    pub(super) options: KafkaOptions,
    pub(super) errors: Errors,
    pub(super) statistics: Arc<StatisticsByClient>,
    /// A client that sees the ends of partitions with the records of open transactions, for metadata too.
    observer: BaseConsumer<ReaderEvents>,
    /// For making and describing topics, once one is needed.
    admin: OnceLock<AdminClient<DefaultClientContext>>,
    /// When producers of a transactional id were shut out.
    fences: Mutex<BTreeMap<String, Vec<Instant>>>,
}

impl Cluster {
    /// Reaches the cluster, or says why not within `connect_timeout`.
    pub(super) fn connect(options: KafkaOptions) -> Result<Self, Error> {
        let problems = Arc::new(Problems::default());
        let errors = Errors { brokers: options.bootstrap_servers.clone(), problems };
        let statistics = Arc::new(StatisticsByClient::default());
        let notes = Notes::new("observer".to_owned(), Arc::clone(&errors.problems), Arc::clone(&statistics));
        let observer = BaseConsumer::from_config_and_context(&options.observer()?, ReaderEvents(notes))
            .map_err(|error| Error::ClientSettings { what: error.to_string() })?;
        let cluster =
            Self { options, errors, statistics, observer, admin: OnceLock::new(), fences: Mutex::default() };
        cluster.wait_for_an_answer()?;
        Ok(cluster)
    }

    fn wait_for_an_answer(&self) -> Result<(), Error> {
        let deadline = now() + self.options.connect_timeout;
        loop {
            let answer = self.observer.fetch_metadata(None, Duration::from_secs(1));
            if answer.is_ok() {
                self.errors.problems.clear();
                return Ok(());
            }
            self.serve_events();
            let reason = self.errors.silence("connect", "");
            let needs_an_operator = matches!(reason, Error::Authentication { .. } | Error::Tls { .. });
            if needs_an_operator || now() >= deadline {
                return Err(reason);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes in what librdkafka reported since: errors of connections, log lines, statistics.
    fn serve_events(&self) {
        for _ in 0..32 {
            let _ = self.observer.poll(Duration::ZERO);
        }
    }

    pub(super) fn notes(&self, client: &str) -> Notes {
        Notes::new(client.to_owned(), Arc::clone(&self.errors.problems), Arc::clone(&self.statistics))
    }

    pub(super) fn observer(&self) -> &BaseConsumer<ReaderEvents> {
        &self.observer
    }

    pub(super) fn admin(&self) -> Result<&AdminClient<DefaultClientContext>, Error> {
        if let Some(admin) = self.admin.get() {
            return Ok(admin);
        }
        let made = self.options.client("admin")?.create();
        let made = made.map_err(|error| Error::ClientSettings { what: error.to_string() })?;
        Ok(self.admin.get_or_init(|| made))
    }

    /// Names of the topics with their partition counts, without those of Kafka itself.
    pub(super) fn topics(&self) -> Result<BTreeMap<String, u32>, Error> {
        let metadata = self
            .observer
            .fetch_metadata(None, super::CALL_TIMEOUT)
            .map_err(|error| self.failed("list topics", "", &error))?;
        let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
        let counted = topics.filter(|topic| topic.error().is_none());
        Ok(counted
            .map(|topic| {
                (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))
            })
            .collect())
    }

    /// Start of a partition, and its end with the records of open transactions.
    pub(super) fn bounds(&self, partition: &TopicPartition) -> Result<(u64, u64), Error> {
        fetcher::bounds(&self.observer, partition, &self.errors)
    }

    pub(super) fn failed(&self, operation: &'static str, subject: &str, error: &KafkaError) -> Error {
        self.serve_events();
        self.errors.of(operation, subject, error)
    }

    /// A producer was shut out. That happens to one that slept for longer than its transaction may last: the worker
    /// begins again with a new producer. When it happens again and again, two processes share an identity.
    pub(super) fn fenced(&self, transactional_id: &str, reason: Error) -> CommitError {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = fences.entry(transactional_id.to_owned()).or_default();
        of_this.retain(|moment| moment.elapsed() < FENCE_WINDOW);
        of_this.push(now());
        if of_this.len() >= MOST_FENCES {
            CommitError::Fenced { reason }
        } else {
            CommitError::Unknown { reason }
        }
    }
}
