//! `settle run`: the stages, until idle or until stopped.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use settle_config::Config;
use settle_log::Log;
use settle_runtime::clock::{SystemClock, monotonic_now};
use settle_runtime::health::{Watchdog, end_process};
use settle_runtime::metrics;
use settle_runtime::{Pipeline, RunMode, StageSelection, StatsSnapshot};
use settle_schema::{BuiltIn, Registry};
use settle_store::Resources;

use crate::args::{Common, OutputFormat, RunArguments, StageName};
use crate::failure::usage;
use crate::output::{self, Sheet, count};
use crate::{Ended, http, open, schemas, settings, signals};

/// Runs `settle run`.
pub(crate) fn run(common: &Common, arguments: &RunArguments) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    let stages = match arguments.stage {
        StageName::All => StageSelection::All,
        StageName::Authorize => StageSelection::Authorize,
        StageName::Settle => StageSelection::Settle,
    };
    let options = settings::pipeline_options(&config, stages)?;
    let log = open::log_with_topics(&config)?;
    let resources = Resources::new(settings::store_options(&config))?;
    let exposition = config.http.listen.as_ref().map(|_| http::Exposition::install()).transpose()?;
    tracing::info!(log = log.describe(), workers = options.workers, ?stages, "starting");
    let registry = schemas::registry(&config)?;
    let schemas = schemas::to_write(registry.as_ref(), &BuiltIn::ALL)?;
    let mut pipeline = Pipeline::new(Arc::clone(&log), resources.clone(), Arc::new(SystemClock), options)
        .with_schemas(schemas)
        .with_standby(config.standby.enabled);
    if let Some(snapshots) = open::snapshots(&config)? {
        pipeline = pipeline.with_snapshots(snapshots);
    }
    let sampled = Sampled { log, resources, registry, clients: Mutex::default() };
    let _server = serve_http(&config, &pipeline, exposition, sampled)?;
    let stuck_after = Duration::from_millis(config.worker.stuck_after_ms);
    let _watchdog = Watchdog::start(pipeline.health(), stuck_after, end_process)?;
    let stop = pipeline.stop_flag();
    signals::stop_on_signal(Arc::clone(&stop))?;
    let mode = match arguments.until_idle {
        true => RunMode::UntilIdle { finish: arguments.finish },
        false => RunMode::Continuous,
    };
    let started = monotonic_now();
    pipeline.run(mode)?;
    let was_stopped = stop.load(Ordering::Relaxed);
    summary(&pipeline.stats().snapshot(), started, arguments.format);
    let is_early = was_stopped && arguments.until_idle;
    Ok(if is_early { Ended::Interrupted } else { Ended::Done })
}

/// Serves `/livez`, `/readyz` and `/metrics`, if an address is configured.
fn serve_http(
    config: &Config,
    pipeline: &Pipeline,
    exposition: Option<http::Exposition>,
    sampled: Sampled,
) -> anyhow::Result<Option<http::Server>> {
    let (Some(listen), Some(exposition)) = (&config.http.listen, exposition) else { return Ok(None) };
    let address = listen.parse().map_err(|_| {
        usage(
            format!("http.listen is {listen:?}: an address and a port were expected"),
            "for example http.listen = \"0.0.0.0:9600\"",
        )
    })?;
    let endpoints = http::Endpoints {
        health: pipeline.health(),
        exposition,
        stuck_after: LIVE_WITHIN,
        sample: Box::new(move || sampled.record()),
    };
    Ok(Some(http::Server::start(address, endpoints)?))
}

/// What is asked for its numbers when metrics are rendered.
struct Sampled {
    log: Arc<dyn Log>,
    resources: Resources,
    registry: Option<Registry>,
    clients: Mutex<metrics::Clients>,
}

impl Sampled {
    fn record(&self) {
        metrics::record_memory(self.resources.memory_use());
        if let Some(registry) = &self.registry {
            metrics::record_registry(&registry.status());
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for (client, statistics) in self.log.client_statistics() {
            clients.record(&client, &statistics);
        }
    }
}

/// A worker without a turn of its loop for this long makes `/livez` fail.
const LIVE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct OutcomeRow {
    stage: &'static str,
    outcome: &'static str,
    events: u64,
}

fn summary(stats: &StatsSnapshot, started: Instant, format: OutputFormat) {
    let seconds = started.elapsed();
    let title = format!(
        "{} records decided in {}.{:03} s; {} commits, {} events replayed at the start",
        count(stats.records),
        seconds.as_secs(),
        seconds.subsec_millis(),
        count(stats.commits),
        count(stats.replayed)
    );
    let mut sheet = Sheet::new(title.clone(), &["stage", "outcome", "events"], 2);
    for ((stage, outcome), events) in &stats.outcomes {
        match format {
            OutputFormat::Json => output::json(&OutcomeRow { stage, outcome, events: *events }),
            OutputFormat::Human => {
                sheet.row([(*stage).to_owned(), (*outcome).to_owned(), count(*events)]);
            }
        }
    }
    match format {
        OutputFormat::Human => sheet.print(),
        OutputFormat::Json => output::message(title),
    }
}
