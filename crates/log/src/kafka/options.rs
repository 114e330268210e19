//! How to reach a Kafka cluster, and with which guarantees.
//!
//! Owns the translation of settings to librdkafka's properties, and the properties that nobody may change because
//! the commit protocol rests on them. Must not know what is read or written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::error::Error;

/// Settings of a [`KafkaLog`](super::KafkaLog).
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Addresses of some brokers, comma separated, `host:port`.
    pub bootstrap_servers: String,
    /// Prefix of client ids and of the group of readers.
    pub application: String,
    /// Ordinal of this process among its peers.
    pub instance: u32,
    /// Encryption and authentication.
    pub security: Security,
    /// How members share the partitions.
    pub group: GroupSettings,
    /// After this time the cluster aborts an open transaction of a producer that is gone; until then its partitions
    /// cannot be read past it.
    pub transaction_timeout: Duration,
    /// Compression of what is written: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: String,
    /// Longest time for which records wait to be sent together.
    pub linger: Duration,
    /// Bytes that a producer buffers, at most.
    pub producer_buffer_bytes: u64,
    /// Bytes that a consumer or reader fetches ahead, at most.
    pub fetch_buffer_bytes: u64,
    /// How long the cluster waits for more before it answers a member that reads.
    pub fetch_wait: Duration,
    /// How long a first answer of the cluster may take.
    pub connect_timeout: Duration,
    /// Settings of topics that are created.
    pub topics: NewTopicSettings,
    /// Further properties of librdkafka by name.
    pub properties: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// Safe defaults for the cluster at these addresses.
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            application: "settle".to_owned(),
            instance: 0,
            security: Security::default(),
            group: GroupSettings::default(),
            transaction_timeout: Duration::from_secs(10),
            compression: "lz4".to_owned(),
            linger: Duration::from_millis(200),
            producer_buffer_bytes: 64 << 20,
            fetch_buffer_bytes: 16 << 20,
            fetch_wait: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(8),
            topics: NewTopicSettings::default(),
            properties: BTreeMap::new(),
        }
    }
}

/// How members of a group share its partitions.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// Which protocol of groups is spoken.
    pub protocol: GroupProtocol,
    /// Who gets which partition, under the classic protocol: `range`, `roundrobin` or `cooperative-sticky`.
    pub assignor: String,
    /// A member that comes back under its identity within the session timeout gets its partitions back at once.
    pub static_membership: bool,
    /// After this silence a member is taken to be gone.
    pub session_timeout: Duration,
    /// Longest time between two polls before the member is taken to be stuck.
    pub max_poll_interval: Duration,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            protocol: GroupProtocol::Classic,
            assignor: "range".to_owned(),
            static_membership: true,
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(300),
        }
    }
}

/// Which protocol of groups is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members elect a leader who assigns. A static member rejoins at once after a crash.
    Classic,
    /// KIP-848: the cluster assigns. After a crash the identity of a static member is refused until its session ends.
    Consumer,
}

/// Encryption and authentication.
#[derive(Clone, Default)]
pub struct Security {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// PEM file of authorities that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate, for mutual TLS.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the client's key, for mutual TLS.
    pub key_file: Option<PathBuf>,
    /// How the client says who it is; none: it does not.
    pub sasl: Option<Sasl>,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mechanism = self.sasl.as_ref().map(|sasl| sasl.mechanism.as_str());
        formatter
            .debug_struct("Security")
            .field("tls", &self.tls)
            .field("sasl", &mechanism)
            .finish_non_exhaustive()
    }
}

/// A user and how its password is shown to the cluster.
#[derive(Clone)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Name of the user.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// Settings of topics that [`Log::create_topic`](crate::Log::create_topic) makes on Kafka.
#[derive(Clone, Debug)]
pub struct NewTopicSettings {
    /// Copies of each partition.
    pub replication_factor: u16,
    /// Copies that must have a record before it counts as written.
    pub min_insync_replicas: u16,
    /// Retention by topic, in milliseconds; -1: forever. A topic that is not named keeps its records forever.
    pub retention_ms: BTreeMap<String, i64>,
}

impl Default for NewTopicSettings {
    fn default() -> Self {
        Self { replication_factor: 3, min_insync_replicas: 2, retention_ms: BTreeMap::new() }
    }
}

/// What is worth an answer before the time is over.
const FETCH_MIN_BYTES: &str = "16384";

/// The most of one partition that a member fetches at once. A megabyte, the client's default, is thousands of records, each of
/// which takes hundreds of bytes more in the client's queue.
const FETCH_PARTITION_BYTES: &str = "262144";

/// Records of one partition that are waiting: below it the client fetches more. A member reads several partitions side by side,
/// other readers mostly one.
const MEMBER_FETCHES_AHEAD: &str = "1000";
const READER_FETCHES_AHEAD: &str = "5000";

/// Properties that the commit protocol rests on: nobody may set them.
const RESERVED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "debug",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "message.timeout.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

impl KafkaOptions {
    /// What every client of the process has in common.
    ///
    /// # Errors
    /// [`Error::ClientSettings`] for a property that may not be set.
    pub(super) fn client(&self, role: &str) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            if RESERVED.contains(&name.as_str()) {
                let what = format!("property {name} is set by Settle itself: exactly-once rests on it");
                return Err(Error::ClientSettings { what });
            }
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", format!("{}-{}-{role}", self.application, self.instance));
        // Several addresses of `localhost` would make each failure twice as long.
        set_default(&mut config, "broker.address.family", "any");
        set_default(&mut config, "reconnect.backoff.ms", "50");
        set_default(&mut config, "reconnect.backoff.max.ms", "1000");
        set_default(&mut config, "socket.keepalive.enable", "true");
        set_default(&mut config, "socket.nagle.disable", "true");
        set_default(&mut config, "statistics.interval.ms", "5000");
        self.set_security(&mut config);
        config.set_log_level(RDKafkaLogLevel::Info);
        Ok(config)
    }

    fn set_security(&self, config: &mut ClientConfig) {
        let protocol = match (self.security.tls, self.security.sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        let files = [
            ("ssl.ca.location", &self.security.ca_file),
            ("ssl.certificate.location", &self.security.certificate_file),
            ("ssl.key.location", &self.security.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.display().to_string());
            }
        }
        if let Some(sasl) = &self.security.sasl {
            config.set("sasl.mechanism", &sasl.mechanism);
            config.set("sasl.username", &sasl.username);
            config.set("sasl.password", &sasl.password);
        }
    }

    /// The client with which a member of `group` reads: it asks again and again, for as long as it lives.
    pub(super) fn fetcher(&self, role: &str, group: &str) -> Result<ClientConfig, Error> {
        let mut config = self.fetching(role, group, MEMBER_FETCHES_AHEAD)?;
        // Without it, what somebody writes is fetched as it comes: at 10,000 requests a second a worker asked 960 times
        // a second, with it 120 times.
        set_default(&mut config, "fetch.min.bytes", FETCH_MIN_BYTES);
        config.set("fetch.wait.max.ms", self.fetch_wait.as_millis().to_string());
        set_default(&mut config, "fetch.message.max.bytes", FETCH_PARTITION_BYTES);
        Ok(config)
    }

    /// A client that reads at positions which it is told, committed records only.
    pub(super) fn reader(&self, role: &str, group: &str) -> Result<ClientConfig, Error> {
        self.fetching(role, group, READER_FETCHES_AHEAD)
    }

    /// A client that reads and has so many records of each partition waiting.
    fn fetching(&self, role: &str, group: &str, records_ahead: &str) -> Result<ClientConfig, Error> {
        let mut config = self.client(role)?;
        self.set_reading(&mut config, group);
        let kibibytes = (self.fetch_buffer_bytes / 1024).max(1).to_string();
        set_default(&mut config, "queued.max.messages.kbytes", &kibibytes);
        set_default(&mut config, "queued.min.messages", records_ahead);
        set_default(&mut config, "fetch.wait.max.ms", "50");
        set_default(&mut config, "fetch.error.backoff.ms", "50");
        set_default(&mut config, "fetch.queue.backoff.ms", "20");
        Ok(config)
    }

    /// A member of `group`.
    pub(super) fn member(&self, role: &str, group: &str, identity: &str) -> Result<ClientConfig, Error> {
        let mut config = self.client(role)?;
        self.set_reading(&mut config, group);
        if self.group.static_membership {
            config.set("group.instance.id", identity);
        }
        config.set("max.poll.interval.ms", self.group.max_poll_interval.as_millis().to_string());
        match self.group.protocol {
            GroupProtocol::Classic => {
                config.set("partition.assignment.strategy", &self.group.assignor);
                config.set("session.timeout.ms", self.group.session_timeout.as_millis().to_string());
                let heartbeat_ms = (self.group.session_timeout.as_millis() / 5).clamp(100, 3_000);
                config.set("heartbeat.interval.ms", heartbeat_ms.to_string());
            }
            GroupProtocol::Consumer => {
                config.set("group.protocol", "consumer");
            }
        }
        Ok(config)
    }

    fn set_reading(&self, config: &mut ClientConfig, group: &str) {
        config.set("group.id", group);
        config.set("isolation.level", "read_committed");
        // Positions come from the state: a position that does not exist is an error, never a silent jump.
        config.set("auto.offset.reset", "error");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
    }

    /// A client that sees the ends of partitions with the records of open transactions.
    pub(super) fn observer(&self) -> Result<ClientConfig, Error> {
        let mut config = self.client("observer")?;
        self.set_reading(&mut config, &format!("{}-reader", self.application));
        config.set("isolation.level", "read_uncommitted");
        Ok(config)
    }

    /// A transactional producer.
    pub(super) fn producer(&self, transactional_id: &str) -> Result<ClientConfig, Error> {
        let mut config = self.client(&format!("producer-{transactional_id}"))?;
        let transaction_ms = self.transaction_timeout.as_millis();
        config.set("transactional.id", transactional_id);
        config.set("transaction.timeout.ms", transaction_ms.to_string());
        // A zombie's open transaction blocks every reader: its records give up before the cluster does.
        config.set("message.timeout.ms", (transaction_ms * 8 / 10).to_string());
        // A request must not outlive the wait for a commit, or nobody would notice that it was lost.
        config.set("socket.timeout.ms", (transaction_ms - 200).to_string());
        // Lines about connections and repeated requests: the commit protocol has to know of them.
        config.set("debug", "broker");
        config.set_log_level(RDKafkaLogLevel::Debug);
        config.set("compression.type", &self.compression);
        config.set("linger.ms", self.linger.as_millis().to_string());
        let kibibytes = (self.producer_buffer_bytes / 1024).max(1).to_string();
        set_default(&mut config, "queue.buffering.max.kbytes", &kibibytes);
        set_default(&mut config, "queue.buffering.max.messages", "500000");
        // A partition's records of a transaction in one request: librdkafka has one under way for each partition, and its
        // thread spins while there is more that waited for `linger.ms`.
        set_default(&mut config, "batch.size", "1000000");
        Ok(config)
    }

    /// Longest wait for a commit: shorter than a request may take, so that a lost request is noticed.
    pub(super) fn commit_timeout(&self) -> Duration {
        self.transaction_timeout * 6 / 10
    }
}

fn set_default(config: &mut ClientConfig, name: &str, value: &str) {
    if config.get(name).is_none() {
        config.set(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_exactly_once_rests_on_cannot_be_set() {
        for name in RESERVED {
            let mut options = KafkaOptions::new("127.0.0.1:9092");
            options.properties.insert((*name).to_owned(), "x".to_owned());
            let error = options.client("x").expect_err(name);
            assert_eq!(error.code(), "STL-0123");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_commit_gives_up_before_its_request_and_a_record_before_its_transaction() {
        let options = KafkaOptions::new("127.0.0.1:9092");
        let config = options.producer("settle-authorize-0-0").expect("valid");
        let milliseconds =
            |name: &str| config.get(name).and_then(|text| text.parse::<u128>().ok()).expect(name);
        assert!(options.commit_timeout().as_millis() < milliseconds("socket.timeout.ms"));
        assert!(milliseconds("socket.timeout.ms") < milliseconds("transaction.timeout.ms"));
        assert!(milliseconds("message.timeout.ms") < milliseconds("transaction.timeout.ms"));
    }

    #[test]
    fn only_members_wait_for_more_than_one_record() {
        let options =
            KafkaOptions { fetch_wait: Duration::from_millis(7), ..KafkaOptions::new("127.0.0.1:9092") };
        let member = options.fetcher("fetcher", "settle-authorize").expect("valid");
        assert_eq!(member.get("fetch.min.bytes"), Some(FETCH_MIN_BYTES));
        assert_eq!(member.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(member.get("queued.min.messages"), Some(MEMBER_FETCHES_AHEAD));
        assert_eq!(member.get("fetch.message.max.bytes"), Some(FETCH_PARTITION_BYTES));
        // A restore waits for whatever is there.
        let restore = options.reader("reader", "settle-authorize").expect("valid");
        assert_eq!(restore.get("fetch.min.bytes"), None);
        assert_eq!(restore.get("fetch.message.max.bytes"), None);
        assert_eq!(restore.get("fetch.wait.max.ms"), Some("50"));
        assert_eq!(restore.get("queued.min.messages"), Some(READER_FETCHES_AHEAD));
    }

    #[test]
    fn a_password_is_not_shown() {
        let sasl = Sasl { mechanism: "PLAIN".into(), username: "u".into(), password: "secret".into() };
        let security = Security { sasl: Some(sasl), ..Security::default() };
        assert!(!format!("{security:?}").contains("secret"));
    }
}
