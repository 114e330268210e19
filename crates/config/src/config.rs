//! The keys of the configuration, their defaults and their meaning.
//!
//! The doc comment of a field is its text in the reference (docs/configuration.md), the `range` its bounds there
//! and in every check. Keys of `[clock]`, `[risk]`, `[contracts]` and `[calendars]` belong to the crates that use them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settle_engine::ClockConfig;
use settle_engine::authorize::AuthorizeSettings;
use settle_engine::authorize::config::IdFormat;
use settle_engine::settle::SettleSettings;
use settle_risk::RiskConfig;
use settle_settlement::{Calendars, Contracts};
use settle_types::{Currency, topic};

use crate::http::HttpConfig;
use crate::kafka::{KafkaConfig, WrongPartition};
use crate::registry::RegistryConfig;
use crate::snapshots::{SnapshotsConfig, StandbyConfig};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who this process is among its peers.
    pub application: ApplicationConfig,
    /// The embedded log: topics in a directory, in this process.
    pub embedded: EmbeddedConfig,
    /// The Kafka cluster. See [kafka.md](kafka.md).
    pub kafka: KafkaConfig,
    /// The schema registry of the cluster. See [schemas.md](schemas.md).
    pub registry: RegistryConfig,
    /// The workers of this process, per stage. The results do not depend on these numbers.
    pub worker: WorkerConfig,
    /// The state of the stages: one RocksDB for each stage and partition, rebuilt from the journal when it is lost.
    pub store: StoreConfig,
    /// Copies of the state in an object store: an empty machine starts from them. See [snapshots.md](snapshots.md).
    pub snapshots: SnapshotsConfig,
    /// Warm copies of the state in this process. See [operations.md](operations.md).
    pub standby: StandbyConfig,
    /// What the process answers over HTTP. See [operations.md](operations.md).
    pub http: HttpConfig,
    /// What time it is for decisions. Part of the journaled configuration.
    pub clock: ClockConfig,
    /// For how long a retry is recognised.
    pub idempotency: IdempotencyConfig,
    /// Decimals of currencies that ISO 4217 lacks, or that are to differ from it.
    #[schemars(with = "BTreeMap<String, Decimals>")]
    pub currencies: BTreeMap<Currency, u8>,
    /// Formats of id and account fields. A field with a format is held to it and is not searched for card numbers:
    /// a tenth of long numeric ids would pass the check digit by chance. A field without one is searched.
    pub id_formats: IdFormats,
    /// Risk rules: what a payment is judged by before it is approved. See [risk.md](risk.md).
    pub risk: RiskConfig,
    /// Contracts by merchant id. The table `default` holds for every merchant without a table; without it, such a
    /// merchant's payments are refused. A merchant's table is complete on its own: it takes nothing from `default`.
    pub contracts: Contracts,
    /// Calendars of business days by name, in addition to the built-in `weekends`, `every-day` and `target2`.
    pub calendars: Calendars,
    /// What the process tells about itself on stderr.
    pub telemetry: TelemetryConfig,
}

/// The shape of a value of `[currencies]`. The highest is `settle_types::currency::MAX_EXPONENT`.
#[derive(JsonSchema)]
struct Decimals(
    #[schemars(range(max = 6))]
    #[allow(dead_code)]
    u8,
);

/// `[application]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplicationConfig {
    /// Prefix of consumer groups and transactional ids: letters, digits, `.`, `_`, `-`, at most 100 characters.
    /// All processes that share the work have the same.
    pub name: String,
    /// Ordinal of this process among the processes of the application, from 0. No two running ones may share it.
    #[schemars(range(max = 9_999))]
    pub instance: u32,
}

impl Default for ApplicationConfig {
    fn default() -> Self {
        Self { name: "settle".to_owned(), instance: 0 }
    }
}

/// `[embedded]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Directory of the data: the log stands in its folder `log`, the state in `state`. Relative to the working
    /// directory. `--embedded DIR` sets it.
    pub directory: Option<PathBuf>,
    /// Partitions of every topic when the log is created; permanent from then on.
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: u32,
    /// When a commit is made durable.
    pub sync: SyncSetting,
    /// Size in bytes above which a new segment file is begun.
    #[schemars(range(min = 4_096))]
    pub segment_bytes: u64,
    /// Most bytes of records in one transaction. A commit uses about twice as much memory.
    #[schemars(range(min = 4_096, max = 1_073_741_824))]
    pub max_transaction_bytes: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            directory: None,
            partitions: 4,
            sync: SyncSetting::Commit,
            segment_bytes: 128 << 20,
            max_transaction_bytes: 64 << 20,
        }
    }
}

/// When a commit of the embedded log is made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncSetting {
    /// Before it is acknowledged: a crash of the machine loses nothing that was.
    #[default]
    Commit,
    /// When the operating system likes: a crash of the machine may lose or damage what was acknowledged. For tests.
    Never,
}

/// `[worker]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Workers per stage, a thread each. With one worker a run until idle is reproducible byte for byte.
    #[schemars(range(min = 1, max = 256))]
    pub workers: u32,
    /// Most records that are decided between two polls.
    #[schemars(range(min = 1, max = 100_000))]
    pub batch_records: usize,
    /// Time between the end of a commit and the beginning of the next, in milliseconds, while there is something to commit.
    #[schemars(range(min = 1, max = 5_000))]
    pub commit_interval_ms: u64,
    /// Most input records of one transaction.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub commit_records: u64,
    /// Most bytes that one transaction writes; it may end up one record larger.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub commit_bytes: u64,
    /// Most rows of the state that a partition holds in memory before its transaction is committed.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub cached_rows: usize,
    /// Most records that are polled ahead for each partition.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue_records: usize,
    /// Most due items (timers) that are handled before the worker looks at its limits again.
    #[schemars(range(min = 1, max = 100_000))]
    pub tick_items: usize,
    /// Aborted transactions in a row after which the worker gives up.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_aborts: u32,
    /// Time without a turn of its loop after which a worker is taken to be stuck, in milliseconds: the process ends.
    #[schemars(range(min = 10_000, max = 3_600_000))]
    pub stuck_after_ms: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            batch_records: 1_000,
            commit_interval_ms: 100,
            commit_records: 10_000,
            commit_bytes: 16 << 20,
            cached_rows: 100_000,
            queue_records: 2_000,
            tick_items: 256,
            max_aborts: 5,
            stuck_after_ms: 120_000,
        }
    }
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Directory of the state; relative to the working directory. Without it: `state` in
    /// `embedded.directory`, and with Kafka `state` in the working directory.
    pub directory: Option<PathBuf>,
    /// Memory of the block cache, in bytes, shared by all stores of the process.
    #[schemars(range(min = 1_048_576))]
    pub block_cache_bytes: usize,
    /// Memory for rows that are not flushed yet, in bytes, shared by all stores of the process.
    #[schemars(range(min = 8_388_608))]
    pub write_buffer_bytes: usize,
    /// Bytes that one store may hold unflushed: half of them fill while the other half is flushed. They are replayed from the
    /// journal after a crash.
    #[schemars(range(min = 65_536))]
    pub max_unflushed_bytes: u64,
    /// Longest time for which what a store holds may stay unflushed, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub flush_interval_seconds: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            directory: None,
            block_cache_bytes: 48 << 20,
            write_buffer_bytes: 64 << 20,
            max_unflushed_bytes: 16 << 20,
            flush_interval_seconds: 60,
        }
    }
}

/// `[idempotency]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencyConfig {
    /// Days for which a key answers with its first decision; then it is free. Longer than
    /// `clock.max_event_jump_seconds`.
    #[schemars(range(min = 1, max = 550))]
    pub retention_days: u32,
}

impl Default for IdempotencyConfig {
    fn default() -> Self {
        Self { retention_days: 7 }
    }
}

/// `[id_formats]`: the declared format of each field that can have one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdFormats {
    /// Format of `payment_id`.
    pub payment_id: Option<IdFormat>,
    /// Format of `original_payment_id`.
    pub original_payment_id: Option<IdFormat>,
    /// Format of `idempotency_key`.
    pub idempotency_key: Option<IdFormat>,
    /// Format of `debtor_account`.
    pub debtor_account: Option<IdFormat>,
    /// Format of `merchant_id`.
    pub merchant_id: Option<IdFormat>,
}

impl IdFormats {
    fn by_field(&self) -> BTreeMap<String, IdFormat> {
        let fields = [
            ("payment_id", self.payment_id),
            ("original_payment_id", self.original_payment_id),
            ("idempotency_key", self.idempotency_key),
            ("debtor_account", self.debtor_account),
            ("merchant_id", self.merchant_id),
        ];
        fields.into_iter().filter_map(|(field, format)| Some((field.to_owned(), format?))).collect()
    }
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Least severe messages that are logged: `error`, `warn`, `info`, `debug`, `trace` or `off`. A part of the
    /// program may have a level of its own: `info,settle_runtime=debug`.
    pub log_level: String,
    /// How messages are written.
    pub log_format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log_level: "info".to_owned(), log_format: LogFormat::Human }
    }
}

impl TelemetryConfig {
    /// True if messages are JSON.
    pub fn is_json(&self) -> bool {
        self.log_format == LogFormat::Json
    }
}

/// Form of log messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// An object a line, for machines.
    Json,
}

impl Config {
    /// What decisions of AUTHORIZE depend on; journaled by the engine.
    pub fn authorize_settings(&self) -> AuthorizeSettings {
        AuthorizeSettings {
            clock: self.clock.clone(),
            key_retention_days: self.idempotency.retention_days,
            currency_exponents: self.currencies.clone(),
            id_formats: self.id_formats.by_field(),
            risk: self.risk.clone(),
            reroute_wrong_partition: self.kafka.wrong_partition == WrongPartition::Reroute,
        }
    }

    /// What decisions of SETTLE depend on; journaled by the engine.
    pub fn settle_settings(&self) -> SettleSettings {
        SettleSettings {
            clock: self.clock.clone(),
            currency_exponents: self.currencies.clone(),
            contracts: self.contracts.clone(),
            calendars: self.calendars.clone(),
        }
    }

    /// Milliseconds for which each topic keeps its records, at least; -1: forever. Journals are kept forever where no
    /// snapshots are made.
    pub fn retention_ms(&self) -> BTreeMap<String, i64> {
        const MS_PER_DAY: i64 = 86_400_000;
        let defaults = RETENTION_DAYS.iter().map(|(topic, days)| ((*topic).to_owned(), *days));
        let mut days: BTreeMap<String, u32> = defaults.collect();
        days.extend(self.kafka.retention_days.iter().map(|(topic, days)| (topic.clone(), *days)));
        let in_ms = |days: u32| if days == 0 { -1 } else { i64::from(days) * MS_PER_DAY };
        days.into_iter().map(|(topic, days)| (topic, in_ms(days))).collect()
    }

    /// Directory of the state: `store.directory`, else `state` in the directory of the embedded log, else `state` in
    /// the working directory if the log is Kafka; `None` if no log is set.
    pub fn state_directory(&self) -> Option<PathBuf> {
        let beside_the_log = |directory: &Path| directory.join("state");
        let of_kafka = || self.kafka.bootstrap_servers.as_ref().map(|_| PathBuf::from("state"));
        let of_embedded = || self.embedded.directory.as_deref().map(beside_the_log);
        self.store.directory.clone().or_else(of_embedded).or_else(of_kafka)
    }
}

/// Days for which each topic keeps its records by default; 0: forever. A journal is the state: it is kept forever unless
/// it is said otherwise, and then snapshots are needed.
const RETENTION_DAYS: [(&str, u32); 9] = [
    (topic::REQUESTED, 30),
    (topic::REROUTED, 30),
    (topic::DECIDED, 0),
    (topic::APPROVED, 30),
    (topic::RESULTS, 30),
    (topic::DEAD_LETTER, 90),
    (topic::SETTLEMENT_EVENTS, 0),
    (topic::LEDGER_TRANSACTIONS, 0),
    (topic::PAYOUTS, 550),
];

/// The text of a TOML file that says everything, defaults included.
pub fn to_toml(config: &Config) -> String {
    toml::to_string(config).expect("a configuration of plain values becomes TOML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_carry_what_was_configured() {
        let config: Config = toml::from_str(
            r#"
            clock.mode = "event"
            idempotency.retention_days = 9
            kafka.wrong_partition = "reroute"
            currencies.XBT = 6
            id_formats.merchant_id = "UUID"
            contracts.default.fees."*" = {}
            calendars.cz = {}
            [[risk.rules]]
            id = "r"
            version = 1
            check = "DENY_LIST"
            "#,
        )
        .expect("valid");
        let authorize = config.authorize_settings();
        assert_eq!(authorize.clock, config.clock);
        assert_eq!(authorize.key_retention_days, 9);
        assert_eq!(authorize.currency_exponents.len(), 1);
        assert_eq!(authorize.id_formats, BTreeMap::from([("merchant_id".to_owned(), IdFormat::Uuid)]));
        assert_eq!(authorize.risk.rules.len(), 1);
        assert!(authorize.reroute_wrong_partition);
        assert!(!Config::default().authorize_settings().reroute_wrong_partition, "it is refused by default");
        let settle = config.settle_settings();
        assert_eq!(settle.clock, config.clock);
        assert_eq!(settle.currency_exponents, authorize.currency_exponents);
        assert_eq!((settle.contracts.0.len(), settle.calendars.0.len()), (1, 1));
    }

    #[test]
    fn every_topic_has_a_default_retention() {
        let retention_ms = Config::default().retention_ms();
        let mut topics = topic::ALL;
        topics.sort_unstable();
        assert_eq!(retention_ms.keys().collect::<Vec<_>>(), topics);
        assert_eq!(retention_ms[topic::REROUTED], retention_ms[topic::REQUESTED]);
    }

    #[test]
    fn every_id_field_of_the_engine_can_be_declared_and_no_other() {
        let all = Some(IdFormat::Text);
        let formats = IdFormats {
            payment_id: all,
            original_payment_id: all,
            idempotency_key: all,
            debtor_account: all,
            merchant_id: all,
        };
        let mut expected = settle_engine::authorize::config::ID_FIELDS;
        expected.sort_unstable();
        assert_eq!(formats.by_field().into_keys().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_state_stands_beside_the_log_unless_told_otherwise() {
        let mut config = Config::default();
        assert_eq!(config.state_directory(), None);
        config.kafka.bootstrap_servers = Some("127.0.0.1:9092".to_owned());
        assert_eq!(config.state_directory(), Some(PathBuf::from("state")));
        config.embedded.directory = Some(PathBuf::from("data"));
        assert_eq!(config.state_directory(), Some(PathBuf::from("data/state")));
        config.store.directory = Some(PathBuf::from("fast"));
        assert_eq!(config.state_directory(), Some(PathBuf::from("fast")));
    }
}
