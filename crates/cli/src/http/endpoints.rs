//! What the endpoints answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use settle_runtime::health::{Health, Readiness, WorkerReport};

use super::Exposition;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = concat!(
    "settle ",
    env!("CARGO_PKG_VERSION"),
    "\n\n\
     /livez    200 while every worker moves, else 503: restart the process\n\
     /readyz   200 when every worker has joined its group and restored what it owns, else 503 with reasons\n\
     /metrics  metrics for Prometheus\n"
);

/// What the endpoints read.
pub(crate) struct Endpoints {
    /// How the workers are.
    pub(crate) health: Arc<Health>,
    /// The metrics.
    pub(crate) exposition: Exposition,
    /// A worker that is longer than this in one step is stuck.
    pub(crate) stuck_after: Duration,
    /// Sets gauges that nobody keeps up to date, such as memory in use: called before metrics are rendered.
    pub(crate) sample: Box<dyn Fn() + Send + Sync>,
}

/// The routes; others are 404, other methods than GET and HEAD 405.
pub(super) fn router(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .with_state(Arc::new(endpoints))
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        // What a probe says holds for this moment only.
        (header::CACHE_CONTROL, "no-store"),
        // One request each: a connection that is kept open could not be told from one that is held open.
        (header::CONNECTION, "close"),
    ];
    (status, headers, body.into()).into_response()
}

async fn index() -> Response {
    answer(StatusCode::OK, TEXT, INDEX)
}

async fn not_found() -> Response {
    answer(StatusCode::NOT_FOUND, TEXT, format!("not found\n\n{INDEX}"))
}

async fn live(State(endpoints): State<Arc<Endpoints>>) -> Response {
    let stuck = endpoints.health.stuck(endpoints.stuck_after);
    if stuck.is_empty() {
        return answer(StatusCode::OK, TEXT, "alive\n");
    }
    let mut text = String::new();
    for worker in stuck {
        writeln!(text, "{worker}").expect("writing to text does not fail");
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
}

async fn ready(State(endpoints): State<Arc<Endpoints>>) -> Response {
    let readiness = endpoints.health.readiness(endpoints.stuck_after);
    let body = ReadyBody::new(&readiness);
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let json = serde_json::to_string(&body).expect("plain values become JSON");
    answer(status, JSON, format!("{json}\n"))
}

async fn metrics(State(endpoints): State<Arc<Endpoints>>) -> Response {
    endpoints.health.record_gauges();
    (endpoints.sample)();
    answer(StatusCode::OK, METRICS, endpoints.exposition.render())
}

#[derive(Serialize)]
struct ReadyBody {
    ready: bool,
    reasons: Vec<String>,
    workers: Vec<WorkerBody>,
}

impl ReadyBody {
    fn new(readiness: &Readiness) -> Self {
        let reasons = readiness.reasons();
        let workers = readiness.workers.iter().map(WorkerBody::new).collect();
        Self { ready: reasons.is_empty(), reasons, workers }
    }
}

#[derive(Serialize)]
struct WorkerBody {
    stage: &'static str,
    worker: u32,
    state: &'static str,
    /// What it is doing, and for how long.
    step: &'static str,
    step_age_ms: u64,
    partitions: Vec<u32>,
    restoring: Vec<RestoreBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct RestoreBody {
    partition: u32,
    /// Null while it is not known.
    remaining_events: Option<u64>,
}

impl WorkerBody {
    fn new(report: &WorkerReport) -> Self {
        let step_age_ms = report.step_age.unwrap_or_default().as_millis();
        let restoring = report.restoring.iter();
        Self {
            stage: report.stage,
            worker: report.worker,
            state: report.state.as_str(),
            step: report.step.as_str(),
            step_age_ms: u64::try_from(step_age_ms).unwrap_or(u64::MAX),
            partitions: report.owned.clone(),
            restoring: restoring
                .map(|(partition, remaining_events)| RestoreBody {
                    partition: *partition,
                    remaining_events: *remaining_events,
                })
                .collect(),
            note: report.note(),
        }
    }
}
