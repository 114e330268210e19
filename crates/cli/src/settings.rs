//! The configuration of a command: defaults, file, environment, flags; and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use settle_config::{Config, FlagValue, Loaded, Sources};
use settle_engine::ClockMode;
use settle_runtime::{PipelineOptions, StageSelection, WorkerOptions};
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
    config.embedded.directory.clone().ok_or_else(|| {
        usage("no log is named", "give --embedded DIR, or set embedded.directory in the configuration")
    })
}

/// Where the stores stand.
pub(crate) fn state_directory(config: &Config) -> anyhow::Result<PathBuf> {
    match &config.store.directory {
        Some(directory) => Ok(directory.clone()),
        None => Ok(embedded_directory(config)?.join("state")),
    }
}

/// Options of the stores.
pub(crate) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        block_cache_bytes: config.store.block_cache_bytes,
        write_buffer_bytes: config.store.write_buffer_bytes,
        ..StoreOptions::default()
    }
}

/// Options of a run.
pub(crate) fn pipeline_options(config: &Config, stages: StageSelection) -> anyhow::Result<PipelineOptions> {
    refuse_problems(config)?;
    Ok(PipelineOptions {
        stages,
        workers: config.worker.workers,
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
