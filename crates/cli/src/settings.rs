//! The configuration of a command: defaults, file, environment, flags; and what follows from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use settle_config::kafka::{GroupProtocolSetting, SaslConfig};
use settle_config::{Config, FlagValue, Loaded, Sources};
use settle_engine::ClockMode;
use settle_log::KafkaOptions;
use settle_log::kafka::{GroupProtocol, GroupSettings, NewTopicSettings, Sasl, Security};
use settle_runtime::{PipelineOptions, StageSelection, TopicRequirements, WorkerOptions};
use settle_store::StoreOptions;

use crate::args::{Common, LogFormat};
use crate::failure::usage;
use crate::{output, telemetry};

/// Loads the configuration, starts the log, and prints warnings.
pub(crate) fn load(common: &Common) -> anyhow::Result<Config> {
    let loaded = load_quietly(common)?;
    let config = loaded.config;
    telemetry::start(&config.telemetry.log_level, config.telemetry.is_json());
    Ok(config)
}

/// Loads the configuration.
pub(crate) fn load_quietly(common: &Common) -> anyhow::Result<Loaded> {
    let mut flags = Vec::new();
    if let Some(directory) = &common.embedded {
        flags.push(flag("embedded.directory", &directory.display().to_string()));
    }
    if let Some(brokers) = &common.kafka {
        flags.push(flag("kafka.bootstrap_servers", brokers));
    }
    if let Some(level) = &common.log_level {
        flags.push(flag("telemetry.log_level", level));
    }
    if let Some(format) = common.log_format {
        flags.push(flag("telemetry.log_format", if format == LogFormat::Json { "json" } else { "human" }));
    }
    for setting in &common.set {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(usage(
                format!("--set {setting}: KEY=VALUE was expected"),
                "for example --set worker.workers=2",
            ));
        };
        flags.push(FlagValue::parsed(key.trim(), value.trim()));
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let environment = std::env::vars().filter(|(name, _)| name.starts_with("SETTLE__")).collect();
    let mut loaded = settle_config::load(Sources { file: common.config.clone(), environment, flags })?;
    // A log named on the command line takes the place of one in the file.
    if common.kafka.is_some() {
        loaded.config.embedded.directory = None;
    } else if common.embedded.is_some() {
        loaded.config.kafka.bootstrap_servers = None;
    }
    // Requests of files and generators carry their own time: by default it is the clock of an embedded log.
    if loaded.config.embedded.directory.is_some() && !loaded.is_set("clock.mode") {
        loaded.config.clock.mode = ClockMode::Event;
    }
    Ok(loaded)
}

fn flag(key: &str, text: &str) -> FlagValue {
    FlagValue::text(key, text)
}

/// The directory of the embedded log.
pub(crate) fn embedded_directory(config: &Config) -> anyhow::Result<PathBuf> {
    config.embedded.directory.clone().ok_or_else(no_log)
}

/// Where the stores stand.
pub(crate) fn state_directory(config: &Config) -> anyhow::Result<PathBuf> {
    config.state_directory().ok_or_else(no_log)
}

fn no_log() -> anyhow::Error {
    usage(
        "no log is named",
        "give --kafka HOST:PORT or --embedded DIR, or set kafka.bootstrap_servers or embedded.directory in the configuration",
    )
}

/// How to reach the Kafka cluster; none if the log is another one.
///
/// # Errors
/// If the log is named twice, or the password's file cannot be read.
pub(crate) fn kafka_options(config: &Config) -> anyhow::Result<Option<KafkaOptions>> {
    let kafka = &config.kafka;
    let Some(bootstrap_servers) = &kafka.bootstrap_servers else { return Ok(None) };
    if config.embedded.directory.is_some() {
        return Err(usage(
            "two logs are named: kafka.bootstrap_servers and embedded.directory",
            "remove one of them from the configuration, the environment or the command line",
        ));
    }
    let milliseconds = Duration::from_millis;
    Ok(Some(KafkaOptions {
        bootstrap_servers: bootstrap_servers.clone(),
        application: config.application.name.clone(),
        instance: config.application.instance,
        security: Security {
            tls: kafka.tls.enabled,
            ca_file: kafka.tls.ca_file.clone(),
            certificate_file: kafka.tls.certificate_file.clone(),
            key_file: kafka.tls.key_file.clone(),
            sasl: sasl(&kafka.sasl)?,
        },
        group: GroupSettings {
            protocol: match kafka.group_protocol {
                GroupProtocolSetting::Classic => GroupProtocol::Classic,
                GroupProtocolSetting::Consumer => GroupProtocol::Consumer,
            },
            assignor: kafka.assignor.as_str().to_owned(),
            static_membership: kafka.static_membership,
            session_timeout: milliseconds(kafka.session_timeout_ms),
            max_poll_interval: milliseconds(kafka.max_poll_interval_ms),
        },
        transaction_timeout: milliseconds(kafka.transaction_timeout_ms),
        compression: kafka.compression.as_str().to_owned(),
        linger: milliseconds(kafka.linger_ms),
        producer_buffer_bytes: kafka.producer_buffer_bytes,
        fetch_buffer_bytes: kafka.fetch_buffer_bytes,
        fetch_wait: milliseconds(kafka.fetch_wait_ms),
        connect_timeout: milliseconds(kafka.connect_timeout_ms),
        topics: NewTopicSettings {
            replication_factor: kafka.replication_factor,
            min_insync_replicas: kafka.min_insync_replicas,
            retention_ms: config.retention_ms(),
        },
        properties: kafka.properties.clone(),
    }))
}

fn sasl(config: &SaslConfig) -> anyhow::Result<Option<Sasl>> {
    let Some(mechanism) = config.mechanism else { return Ok(None) };
    let missing =
        |key: &str| usage(format!("kafka.sasl.mechanism is set, but not {key}"), format!("set {key}"));
    let username = config.username.clone().ok_or_else(|| missing("kafka.sasl.username"))?;
    let password = secret(config.password.as_ref(), config.password_file.as_deref())?;
    let password = password.ok_or_else(|| missing("kafka.sasl.password or kafka.sasl.password_file"))?;
    Ok(Some(Sasl { mechanism: mechanism.as_str().to_owned(), username, password }))
}

/// A secret as it stands in the configuration, or in the file that it names.
pub(crate) fn secret(value: Option<&String>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(usage(
                format!("the password file {} cannot be read: {error}", file.display()),
                "check the path and who may read it",
            )),
        },
        (None, None) => Ok(None),
    }
}

/// Options of the stores.
pub(crate) fn store_options(config: &Config) -> StoreOptions {
    let store = &config.store;
    // One fills while the one before it is flushed.
    let memtable_bytes = usize::try_from(store.max_unflushed_bytes / 2).unwrap_or(usize::MAX);
    StoreOptions {
        block_cache_bytes: store.block_cache_bytes,
        write_buffer_bytes: store.write_buffer_bytes,
        memtable_bytes: memtable_bytes.clamp(StoreOptions::SMALLEST_MEMTABLE_BYTES, store.write_buffer_bytes),
        ..StoreOptions::default()
    }
}

/// Options of a run.
pub(crate) fn pipeline_options(config: &Config, stages: StageSelection) -> anyhow::Result<PipelineOptions> {
    refuse_problems(config)?;
    Ok(PipelineOptions {
        stages,
        workers: config.worker.workers,
        topics: TopicRequirements { retention_ms: config.retention_ms() },
        worker: WorkerOptions {
            application: config.application.name.clone(),
            instance: config.application.instance,
            state_directory: state_directory(config)?,
            batch_records: config.worker.batch_records,
            commit_interval: Duration::from_millis(config.worker.commit_interval_ms),
            commit_records: config.worker.commit_records,
            commit_bytes: config.worker.commit_bytes,
            cached_rows: config.worker.cached_rows,
            queue_records: config.worker.queue_records,
            tick_items: config.worker.tick_items,
            max_unflushed_bytes: config.store.max_unflushed_bytes,
            flush_interval: Duration::from_secs(config.store.flush_interval_seconds),
            max_aborts: config.worker.max_aborts,
        },
        authorize: config.authorize_settings(),
        settle: config.settle_settings(),
    })
}

/// Prints every problem; errors end the command before anything is started.
fn refuse_problems(config: &Config) -> anyhow::Result<()> {
    let problems = settle_config::check(config);
    for problem in &problems {
        output::message(problem.to_string());
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    if errors > 0 {
        return Err(usage(
            format!("the configuration has {errors} error(s)"),
            "correct them; `settle config check` checks without starting",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_configures_is_what_the_stores_begin_with() {
        assert_eq!(store_options(&Config::default()), StoreOptions::default());
    }

    #[test]
    fn a_memtable_is_never_larger_than_all_of_them_nor_smaller_than_rocksdb_makes_it() {
        let memtable_bytes = |max_unflushed_bytes| {
            let mut config = Config::default();
            config.store.max_unflushed_bytes = max_unflushed_bytes;
            let options = store_options(&config);
            (options.memtable_bytes, options.write_buffer_bytes)
        };
        assert_eq!(memtable_bytes(65_536).0, StoreOptions::SMALLEST_MEMTABLE_BYTES);
        let (memtable_bytes, write_buffer_bytes) = memtable_bytes(u64::MAX);
        assert_eq!(memtable_bytes, write_buffer_bytes);
    }
}
