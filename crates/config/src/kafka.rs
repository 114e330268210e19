//! `[kafka]`: the cluster, and how this process behaves in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[kafka]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Addresses of some brokers, comma separated: `host:port,host:port`. Set, the log is Kafka; `--kafka` sets it.
    pub bootstrap_servers: Option<String>,
    /// Partitions of every topic that `settle topics create` makes; permanent from then on.
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: u32,
    /// Copies of each partition, for topics that are made.
    #[schemars(range(min = 1, max = 32))]
    pub replication_factor: u16,
    /// Copies that must have a record before it counts as written, for topics that are made.
    #[schemars(range(min = 1, max = 32))]
    pub min_insync_replicas: u16,
    /// Days for which topics keep their records, by topic, where it is to differ from docs/kafka.md; 0: forever. The
    /// start-up check asks for no less.
    #[schemars(with = "BTreeMap<String, RetentionDays>")]
    pub retention_days: BTreeMap<String, u32>,
    /// What becomes of a request that stands in another partition than its debtor account has by Kafka's default
    /// partitioner.
    pub wrong_partition: WrongPartition,
    /// Protocol of consumer groups. `consumer` is that of KIP-848; after a crash it refuses a static member until the
    /// old session has ended.
    pub group_protocol: GroupProtocolSetting,
    /// Who gets which partition, under the classic protocol.
    pub assignor: Assignor,
    /// Whether a process that comes back within the session timeout gets its partitions back at once.
    pub static_membership: bool,
    /// Silence after which a process is taken to be gone, in milliseconds. Under `group_protocol = "consumer"` the
    /// brokers decide it.
    #[schemars(range(min = 1_000, max = 300_000))]
    pub session_timeout_ms: u64,
    /// Longest time between two polls of a worker, in milliseconds.
    #[schemars(range(min = 10_000, max = 3_600_000))]
    pub max_poll_interval_ms: u64,
    /// Time after which the cluster aborts the open transaction of a process that is gone, in milliseconds. Until then
    /// nothing behind it can be read.
    #[schemars(range(min = 2_000, max = 900_000))]
    pub transaction_timeout_ms: u64,
    /// Compression of what is written.
    pub compression: Compression,
    /// Longest time for which records wait to be sent together, in milliseconds. A commit sends what there is: a time
    /// below that of a commit costs processor time and wins nothing.
    #[schemars(range(max = 1_000))]
    pub linger_ms: u64,
    /// Memory of each worker for records that are not acknowledged, in bytes.
    #[schemars(range(min = 1_048_576, max = 2_000_000_000))]
    pub producer_buffer_bytes: u64,
    /// Memory of each worker for records that were fetched ahead, in bytes.
    #[schemars(range(min = 1_048_576, max = 2_000_000_000))]
    pub fetch_buffer_bytes: u64,
    /// How long the cluster waits for more before it answers a worker that reads, in milliseconds, unless there are 16 KiB.
    /// A short time costs requests, a long one makes records wait where few come.
    #[schemars(range(min = 1, max = 500))]
    pub fetch_wait_ms: u64,
    /// How long the first answer of the cluster may take, in milliseconds.
    #[schemars(range(min = 1_000, max = 600_000))]
    pub connect_timeout_ms: u64,
    /// Encryption.
    pub tls: TlsConfig,
    /// Authentication.
    pub sasl: SaslConfig,
    /// Further properties of librdkafka, by name. Those that exactly-once rests on are refused.
    pub properties: BTreeMap<String, String>,
}

/// The shape of a value of `[kafka.retention_days]`.
#[derive(JsonSchema)]
struct RetentionDays(
    #[schemars(range(max = 36_500))]
    #[allow(dead_code)]
    u32,
);

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: None,
            partitions: 24,
            replication_factor: 3,
            min_insync_replicas: 2,
            retention_days: BTreeMap::new(),
            wrong_partition: WrongPartition::default(),
            group_protocol: GroupProtocolSetting::default(),
            assignor: Assignor::default(),
            static_membership: true,
            session_timeout_ms: 10_000,
            max_poll_interval_ms: 300_000,
            transaction_timeout_ms: 10_000,
            compression: Compression::default(),
            linger_ms: 200,
            producer_buffer_bytes: 64 << 20,
            fetch_buffer_bytes: 16 << 20,
            fetch_wait_ms: 20,
            connect_timeout_ms: 8_000,
            tls: TlsConfig::default(),
            sasl: SaslConfig::default(),
            properties: BTreeMap::new(),
        }
    }
}

/// What becomes of a request in the wrong partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WrongPartition {
    /// It is INVALID and goes to the dead letters.
    #[default]
    Reject,
    /// It is published to `payments.rerouted`, in its right partition, exactly once, and decided there. Order among
    /// requests of one account is not promised across it.
    Reroute,
}

/// Protocol of consumer groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocolSetting {
    /// Members elect a leader who assigns.
    #[default]
    Classic,
    /// The cluster assigns (KIP-848).
    Consumer,
}

/// Who gets which partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Assignor {
    /// Neighbouring partitions together, by the order of the members.
    #[default]
    Range,
    /// In turns.
    Roundrobin,
    /// As it was, as far as that is even; partitions that stay go on meanwhile.
    CooperativeSticky,
}

impl Assignor {
    /// Its name in Kafka.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Roundrobin => "roundrobin",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// Compression of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    None,
    /// Small, slow.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast, and smaller than snappy.
    #[default]
    Lz4,
    /// Smallest.
    Zstd,
}

impl Compression {
    /// Its name in Kafka.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// `[kafka.tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Whether connections are encrypted.
    pub enabled: bool,
    /// PEM file of the authorities that sign the brokers' certificates; without it: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate, where the cluster asks for one.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of this client's key.
    pub key_file: Option<PathBuf>,
}

/// `[kafka.sasl]`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SaslConfig {
    /// How the password is shown to the cluster. Without it, the client does not say who it is.
    pub mechanism: Option<SaslMechanism>,
    /// Name of the user.
    pub username: Option<String>,
    /// The password. Better from a file, or from the environment as `SETTLE__KAFKA__SASL__PASSWORD`.
    pub password: Option<String>,
    /// File that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
}

impl std::fmt::Debug for SaslConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SaslConfig")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// How a password is shown to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// As it is: only with TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Never as it is.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Never as it is, with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// Its name in Kafka.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
