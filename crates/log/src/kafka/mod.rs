//! The log on Apache Kafka.
//!
//! Owns the clients of librdkafka and what the commit protocol needs of them (docs/architecture.md, "Exactly once").
//! Must not know what a record means. Room by room:
//!
//! - [`options`]: settings, and the properties that nobody may change
//! - `consumer`: a member of a group, and the fetching of what it owns; `fetcher` reads from positions that it is told
//! - `producer`: transactions, and what a failed commit means
//! - `reader`: partitions outside any group; `admin`: topics
//! - `cluster`, `problems`, `events`, `statistics`: what the clients share and what librdkafka reports by itself
//! - `native`: the calls that the crate rdkafka lacks, and the only `unsafe` code of the program

mod admin;
mod cluster;
mod consumer;
mod events;
mod fetcher;
mod member;
mod native;
pub mod options;
mod problems;
mod producer;
mod reader;
mod statistics;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use self::cluster::Cluster;
use self::events::{MemberEvents, ReaderEvents};
use self::fetcher::Fetcher;
use self::member::Member;
pub use self::options::{GroupProtocol, GroupSettings, KafkaOptions, NewTopicSettings, Sasl, Security};
use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::Error;
use crate::log::{ClientStatistics, CreateOutcome, Log, Reader, TopicDescription, TopicSettings};
use crate::producer::TransactionalProducer;
use crate::record::TopicPartition;

/// How long a single question to the cluster may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the positions of a group are asked for, each time for half a second at most.
const GROUP_ATTEMPTS: u32 = 20;

/// A Kafka cluster as a log.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
}

impl KafkaLog {
    /// Reaches the cluster.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Authentication`] or [`Error::Tls`], within `connect_timeout` and a second;
    /// [`Error::ClientSettings`] for settings that librdkafka refuses.
    pub fn connect(options: KafkaOptions) -> Result<Self, Error> {
        Ok(Self { cluster: Arc::new(Cluster::connect(options)?) })
    }

    fn reading(&self, role: &str, config: &ClientConfig) -> Result<Fetcher, Error> {
        let events = ReaderEvents(self.cluster.notes(role));
        Fetcher::new(config, events, self.cluster.errors.clone())
    }

    /// A client that reads and belongs to no member.
    fn own_reader(&self, group: &str) -> Result<Fetcher, Error> {
        self.reading("reader", &self.cluster.options.reader("reader", group)?)
    }
}

impl Log for KafkaLog {
    fn describe(&self) -> String {
        format!("Kafka at {}", self.cluster.options.bootstrap_servers)
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Error> {
        let topics = self.cluster.topics()?.into_iter();
        Ok(topics.map(|(name, partitions)| TopicDescription { name: name.into(), partitions }).collect())
    }

    fn topic_settings(&self, names: &[&str]) -> Result<Vec<TopicSettings>, Error> {
        admin::topic_settings(&self.cluster, names)
    }

    fn create_topic(&self, name: &str, partitions: u32) -> Result<CreateOutcome, Error> {
        admin::create_topic(&self.cluster, name, partitions)
    }

    fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, Error> {
        let identity = &options.identity;
        let config = self.cluster.options.member(&format!("member-{identity}"), &options.group, identity)?;
        let events = MemberEvents::new(self.cluster.notes(&format!("member {identity}")));
        let member = Member::new(&config, events)?;
        let role = format!("fetcher-{identity}");
        let fetcher = self.reading(&role, &self.cluster.options.fetcher(&role, &options.group)?)?;
        let errors = self.cluster.errors.clone();
        Ok(Box::new(consumer::KafkaConsumer::new(member, fetcher, options, errors)?))
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn TransactionalProducer>, Error> {
        Ok(Box::new(producer::KafkaProducer::new(Arc::clone(&self.cluster), transactional_id)?))
    }

    fn client_statistics(&self) -> BTreeMap<String, ClientStatistics> {
        self.cluster.statistics.all()
    }

    fn stamps_arrival(&self, topic: &str) -> Result<bool, Error> {
        admin::stamps_arrival(&self.cluster, topic)
    }

    fn group_positions(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Option<BTreeMap<TopicPartition, u64>>, Error> {
        // A client of the group's name that is told nothing to consume does not join it.
        let fetcher = self.own_reader(group)?;
        let mut last = None;
        for _ in 0..GROUP_ATTEMPTS {
            match consumer::stable_offsets(fetcher.consumer(), partitions) {
                Ok(positions) => return Ok(Some(positions)),
                Err(error) => last = Some(error),
            }
        }
        tracing::warn!(group, error = ?last, "the positions of the group cannot be read");
        Ok(None)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        let group = format!("{}-reader", self.cluster.options.application);
        let fetcher = self.own_reader(&group)?;
        Ok(Box::new(reader::KafkaReader::new(Arc::clone(&self.cluster), fetcher)))
    }
}
