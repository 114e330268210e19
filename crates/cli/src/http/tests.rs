//! The endpoints over real connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusRecorder;
use settle_runtime::health::{Health, Step};
use settle_runtime::{AbortReason, CommittedWork, GivenUp, Stats, WorkerMonitor, metrics};

use super::connection::Limits;
use super::{Endpoints, Exposition, Server};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(20);

/// A server over a health of its own and a recorder of its own.
struct Fixture {
    health: Arc<Health>,
    recorder: PrometheusRecorder,
    server: Server,
    samples: Arc<AtomicUsize>,
}

fn fixture() -> Fixture {
    fixture_with(Duration::from_secs(60), Limits::default())
}

fn fixture_with(stuck_after: Duration, limits: Limits) -> Fixture {
    let health = Arc::new(Health::default());
    let (recorder, exposition) = Exposition::new();
    let samples = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&samples);
    let sample = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let endpoints = Endpoints { health: Arc::clone(&health), exposition, stuck_after, sample };
    let server = Server::start_with(ANY_PORT, endpoints, limits).expect("a free port is there");
    Fixture { health, recorder, server, samples }
}

impl Fixture {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }

    fn monitor(&self, stage: &'static str, worker: u32) -> WorkerMonitor {
        ::metrics::with_local_recorder(&self.recorder, || {
            WorkerMonitor::new(stage, worker, &self.health, Arc::new(Stats::default()))
        })
    }

    fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: settle\r\n\r\n"))
    }

    fn request(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("the server takes a request");
        let mut text = String::new();
        // To the end: the server closes after one answer.
        stream.read_to_string(&mut text).expect("the server answers in text");
        Answer::parse(&text)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.parse().expect("a status is a number"),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

#[test]
fn the_index_lists_the_endpoints() {
    let fixture = fixture();
    let answer = fixture.get("/");
    assert_eq!(answer.status, 200);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert!(answer.body.contains(path), "{}", answer.body);
    }
    let missing = fixture.get("/healthz");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("/livez"), "it says what there is: {}", missing.body);
}

#[test]
fn livez_names_the_worker_that_is_stuck() {
    let fixture = fixture_with(Duration::from_millis(50), Limits::default());
    assert_eq!(fixture.get("/livez").status, 200, "a process that still starts is alive");
    let worker = fixture.monitor("settle", 3);
    worker.enter(Step::Committing);
    std::thread::sleep(Duration::from_millis(100));
    let answer = fixture.get("/livez");
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("worker 3 of stage settle has been committing for"), "{}", answer.body);
    let readiness = fixture.get("/readyz");
    assert_eq!(readiness.status, 503, "a worker that does not move is not ready");
    worker.rest();
    assert_eq!(fixture.get("/livez").status, 200, "a worker that rests is not stuck");
}

#[test]
fn readyz_waits_for_every_worker_and_says_for_what() {
    let fixture = fixture();
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"][0], "no worker has been started yet");

    let mut busy = fixture.monitor("authorize", 0);
    let mut idle = fixture.monitor("settle", 1);
    busy.enter(Step::Joining);
    idle.enter(Step::Joining);
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer.json()["workers"][0]["state"], "joining");

    busy.assigned(&[0, 4]);
    idle.assigned(&[]);
    busy.restore_began(0, 1_000);
    busy.restore_stepped(0, 400, 600);
    let json = fixture.get("/readyz").json();
    assert_eq!(json["ready"], false);
    let reason =
        "worker 0 of stage authorize restores 2 of 2 partitions: 0 (600 events left), 4 (not counted yet)";
    assert_eq!(json["reasons"], serde_json::json!([reason]));
    let worker = &json["workers"][0];
    assert_eq!(worker["state"], "restoring");
    assert_eq!(worker["partitions"], serde_json::json!([0, 4]));
    assert_eq!(worker["restoring"][0], serde_json::json!({ "partition": 0, "remaining_events": 600 }));

    busy.restored(0);
    busy.restored(4);
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!((&json["ready"], json["reasons"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    assert_eq!(json["workers"][1]["note"], "owns no partition: there are fewer partitions than workers");
    assert_eq!(json["workers"][0].get("note"), None);

    busy.failed("STL-0308", "a transaction was aborted 5 times");
    drop(busy);
    idle.stopping();
    let answer = fixture.get("/readyz");
    assert_eq!(answer.status, 503);
    let reasons = answer.json()["reasons"].clone();
    assert_eq!(
        reasons,
        serde_json::json!([
            "worker 0 of stage authorize failed: STL-0308: a transaction was aborted 5 times",
            "worker 1 of stage settle is stopping",
        ])
    );
    assert_eq!(fixture.get("/livez").status, 200, "nobody is stuck");
}

/// What `promtool check metrics` looks at, by hand: help and type before the series, every series of the metric
/// above it, labels in quotes, a number at the end. Gives the series by name.
fn parse_exposition(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut series: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help has a name");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type has a name");
            assert!(helped.contains(name), "{name} has no help before its type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(typed.insert(name.to_owned(), kind.to_owned()), None, "{name} has two types");
            continue;
        }
        assert!(!line.starts_with('#'), "{line}");
        let (before, value) = line.rsplit_once(' ').expect("a series has a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = before.split_once('{').unwrap_or((before, "}"));
        let labels = labels.strip_suffix('}').expect("labels end");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, quoted) = label.split_once('=').expect("a label has a value");
            assert!(key.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()), "{line}");
            assert!(quoted.len() >= 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{line}");
        }
        let stems = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
        let stem = stems.into_iter().find(|stem| typed.get(*stem).is_some_and(|kind| kind == "histogram"));
        let metric = stem.unwrap_or(name);
        assert!(typed.contains_key(metric), "{name} has no type before it");
        series.entry(name.to_owned()).or_default().push((labels.to_owned(), value.to_owned()));
    }
    series
}

/// The value of the series that has these labels.
fn value<'a>(series: &'a BTreeMap<String, Vec<(String, String)>>, name: &str, labels: &[&str]) -> &'a str {
    let candidates = series.get(name).unwrap_or_else(|| panic!("{name} is not there"));
    let found = candidates.iter().find(|(text, _)| labels.iter().all(|label| text.contains(label)));
    &found.unwrap_or_else(|| panic!("{name} has no {labels:?}: {candidates:?}")).1
}

#[test]
fn metrics_of_a_worker_are_rendered() {
    let fixture = fixture();
    let mut worker = fixture.monitor("authorize", 2);
    // The scrape sets gauges through the recorder of the server's thread: here by hand, into this recorder.
    ::metrics::with_local_recorder(&fixture.recorder, || {
        worker.enter(Step::Polling);
        worker.assigned(&[5, 6]);
        worker.restore_began(5, 100);
        worker.restore_stepped(5, 60, 40);
        worker.restored(6);
        worker.polled("payments.requested", 10, 2_000);
        worker.skipped(3);
        worker.queued(7, 1);
        worker.lag("payments.requested", 5, 12);
        worker.lag("payments.requested", 6, 13);
        worker.stored(5, 4_096, 512);
        worker.transaction_opened();
        let outcomes = BTreeMap::from([(("authorize", "APPROVED"), 4), (("authorize", "INVALID"), 1)]);
        let work = CommittedWork { records: 5, bytes: 900, dead_letters: 1, timers: 2, outcomes: &outcomes };
        worker.committed(&work, Duration::from_millis(20));
        worker.aborted(AbortReason::Unknown);
        worker.gave_up(&[6], GivenUp::Revoked);
        fixture.health.record_gauges();
    });
    let answer = fixture.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(fixture.samples.load(Ordering::Relaxed), 1, "gauges that nobody keeps are sampled");
    let series = parse_exposition(&answer.body);
    let stage = "stage=\"authorize\"";
    let expected: [(&str, &[&str], &str); 20] = [
        ("settle_input_records_total", &[stage, "topic=\"payments.requested\""], "10"),
        ("settle_input_bytes_total", &[stage], "2000"),
        ("settle_input_skipped_records_total", &[stage], "3"),
        ("settle_queue_records", &[stage, "worker=\"2\""], "7"),
        ("settle_queue_paused_partitions", &[stage], "1"),
        ("settle_input_lag_records", &["partition=\"5\""], "12"),
        ("settle_input_lag_records", &["partition=\"6\""], "0"),
        ("settle_decisions_total", &[stage, "outcome=\"APPROVED\""], "4"),
        ("settle_decisions_total", &[stage, "outcome=\"INVALID\""], "1"),
        ("settle_decided_records_total", &[stage], "5"),
        ("settle_dead_letters_total", &[stage], "1"),
        ("settle_timers_fired_total", &[stage], "2"),
        ("settle_commits_total", &[stage], "1"),
        ("settle_aborts_total", &[stage, "reason=\"unknown\""], "1"),
        ("settle_commit_duration_seconds_bucket", &["le=\"0.01\""], "0"),
        ("settle_commit_duration_seconds_bucket", &["le=\"0.025\""], "1"),
        ("settle_commit_duration_seconds_count", &[stage], "1"),
        ("settle_restore_remaining_events", &["partition=\"5\""], "40"),
        ("settle_rebalances_total", &["kind=\"revoked\""], "1"),
        ("settle_store_size_bytes", &["partition=\"5\""], "4096"),
    ];
    for (name, labels, number) in expected {
        assert_eq!(value(&series, name, labels), number, "{name} {labels:?}");
    }
    assert_eq!(value(&series, "settle_assigned_partitions", &["worker=\"2\""]), "1");
    assert_eq!(value(&series, "settle_restoring_partitions", &["worker=\"2\""]), "1");
    assert_eq!(value(&series, "settle_worker_ready", &["worker=\"2\""]), "0");
}

#[test]
fn gauges_of_a_partition_go_back_to_zero() {
    let fixture = fixture();
    let mut worker = fixture.monitor("settle", 0);
    ::metrics::with_local_recorder(&fixture.recorder, || {
        worker.assigned(&[1]);
        worker.restore_began(1, 9);
        worker.stored(1, 10, 11);
        fixture.health.record_gauges();
        let series = parse_exposition(&fixture.get("/metrics").body);
        assert_eq!(value(&series, "settle_restore_remaining_events", &["partition=\"1\""]), "9");
        worker.gave_up(&[1], GivenUp::Lost);
        fixture.health.record_gauges();
    });
    let series = parse_exposition(&fixture.get("/metrics").body);
    for name in ["settle_restore_remaining_events", "settle_store_size_bytes", "settle_store_unflushed_bytes"]
    {
        assert_eq!(value(&series, name, &["partition=\"1\""]), "0", "{name}");
    }
}

#[test]
fn client_statistics_are_taken_over_as_differences() {
    let fixture = fixture();
    ::metrics::with_local_recorder(&fixture.recorder, || {
        let mut clients = metrics::Clients::default();
        let statistics = |sent_bytes, errors| settle_log::ClientStatistics {
            brokers: 3,
            brokers_up: 2,
            sent_bytes,
            errors,
            round_trip_p99_us: 1_500,
            queued_records: 4,
            ..Default::default()
        };
        clients.record("producer settle-0", &statistics(10, 0));
        clients.record("producer settle-0", &statistics(25, 2));
        clients.record("observer", &statistics(7, 0));
        // The client that takes its place counts from 0.
        clients.record("producer settle-0", &statistics(5, 1));
    });
    let series = parse_exposition(&fixture.get("/metrics").body);
    let client = ["client=\"producer settle-0\""];
    assert_eq!(value(&series, "settle_kafka_sent_bytes_total", &client), "30");
    assert_eq!(value(&series, "settle_kafka_sent_bytes_total", &["client=\"observer\""]), "7");
    assert_eq!(value(&series, "settle_kafka_errors_total", &client), "3");
    assert_eq!(value(&series, "settle_kafka_brokers_up", &client), "2");
    assert_eq!(value(&series, "settle_kafka_request_latency_p99_seconds", &client), "0.0015");
}

/// Every function of the catalogue makes the metric that the catalogue describes: help, type and labels.
#[test]
fn what_is_rendered_is_what_the_catalogue_says() {
    let fixture = fixture();
    ::metrics::with_local_recorder(&fixture.recorder, || {
        metrics::record_process("1.2.3", settle_types::Timestamp::from_micros(1_500_000_000));
        metrics::record_memory(settle_store::MemoryUse { block_cache_bytes: 10, write_buffer_bytes: 20 });
        metrics::snapshot_completed_timestamp_seconds("settle", 0).set(0.0);
        metrics::snapshot_duration_seconds("settle").record(0.2);
        metrics::schema_registry_requests_total().increment(1);
        let mut worker = WorkerMonitor::new("settle", 0, &fixture.health, Arc::new(Stats::default()));
        worker.assigned(&[0]);
        worker.restore_began(0, 1);
        worker.restored(0);
        metrics::Clients::default().record("observer", &settle_log::ClientStatistics::default());
        fixture.health.record_gauges();
    });
    let body = fixture.get("/metrics").body;
    let series = parse_exposition(&body);
    assert!(series.len() > 30, "{body}");
    let by_name: BTreeMap<_, _> = metrics::all().map(|metric| (metric.name, metric)).collect();
    for line in body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a type has a name");
        let metric = by_name.get(name).unwrap_or_else(|| panic!("{name} is in no catalogue"));
        assert_eq!(metric.kind.as_str(), kind, "{name}");
        let series_name = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
        for (labels, _) in &series[&series_name] {
            let found: Vec<&str> =
                labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
            assert_eq!(found, metric.labels, "{name}");
        }
    }
    assert_eq!(value(&series, "settle_build_info", &["version=\"1.2.3\""]), "1");
    assert_eq!(value(&series, "settle_process_start_time_seconds", &[]), "1500");
    assert_eq!(value(&series, "settle_store_memtable_bytes", &[]), "20");
}

#[test]
fn with_the_recorder_of_the_process_a_scrape_shows_who_is_stuck() {
    let exposition = Exposition::install().expect("nobody else installs one");
    let again = Exposition::install().err().expect("there is one recorder");
    assert_eq!(again.code(), "STL-0602");
    let health: Arc<Health> = Arc::default();
    let endpoints = Endpoints {
        health: Arc::clone(&health),
        exposition,
        stuck_after: Duration::from_secs(60),
        sample: Box::new(|| metrics::build_info("sampled").set(1.0)),
    };
    let server = Server::start(ANY_PORT, endpoints).expect("a free port is there");
    let fixture = Fixture { health, recorder: Exposition::new().0, server, samples: Arc::default() };
    let worker = WorkerMonitor::new("settle", 9, &fixture.health, Arc::new(Stats::default()));
    worker.transaction_opened();
    worker.enter(Step::Committing);
    std::thread::sleep(Duration::from_millis(50));
    // The worker says nothing more: what a scrape shows is what the server found out.
    let series = parse_exposition(&fixture.get("/metrics").body);
    for name in ["settle_worker_heartbeat_age_seconds", "settle_transaction_open_age_seconds"] {
        let age: f64 = value(&series, name, &["stage=\"settle\"", "worker=\"9\""]).parse().expect("a number");
        assert!(age >= 0.05, "{name}: {age}");
    }
    assert_eq!(value(&series, "settle_build_info", &["version=\"sampled\""]), "1");
    let started_at: u64 =
        value(&series, "settle_process_start_time_seconds", &[]).parse().expect("a whole number");
    assert!(started_at > 1_700_000_000, "{started_at}");
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_code() {
    let taken = TcpListener::bind(ANY_PORT).expect("a free port is there");
    let address = taken.local_addr().expect("it has an address");
    let (_, exposition) = Exposition::new();
    let endpoints = Endpoints {
        health: Arc::default(),
        exposition,
        stuck_after: Duration::from_secs(60),
        sample: Box::new(|| ()),
    };
    let error = Server::start(address, endpoints).expect_err("the port is taken");
    assert_eq!(error.code(), "STL-0601");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn other_methods_and_bodies_are_refused_at_once() {
    let fixture = fixture();
    // A body that never comes: the answer does not wait for it.
    let answer =
        fixture.request("POST /metrics HTTP/1.1\r\nHost: settle\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(answer.status, 405);
    let answer = fixture.request("nonsense\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let limits = Limits { lifetime: Duration::from_millis(200), ..Limits::default() };
    let fixture = fixture_with(Duration::from_secs(60), limits);
    let mut silent = fixture.connect();
    let mut half = fixture.connect();
    half.write_all(b"GET /livez HTTP/1.1\r\nHost: se").expect("the server takes half a head");
    let mut rest = Vec::new();
    // The end of the stream, or its reset: not the test's own timeout.
    for stream in [&mut silent, &mut half] {
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_are_served() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let fixture = fixture_with(Duration::from_secs(60), limits);
    let mut first = fixture.connect();
    let _second = fixture.connect();
    let mut third = fixture.connect();
    let mut rest = Vec::new();
    if let Err(error) = third.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    assert_eq!(rest, b"");
    first.write_all(b"GET /livez HTTP/1.1\r\nHost: settle\r\n\r\n").expect("the first is served");
    let mut text = String::new();
    first.read_to_string(&mut text).expect("the first is served");
    assert_eq!(Answer::parse(&text).status, 200);
    // Its place is free again.
    drop(first);
    let deadline = settle_runtime::clock::monotonic_now() + PATIENCE;
    loop {
        let mut stream = fixture.connect();
        let mut text = String::new();
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: settle\r\n\r\n");
        if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
            assert_eq!(Answer::parse(&text).status, 200);
            break;
        }
        assert!(settle_runtime::clock::monotonic_now() < deadline, "the place was not given back");
    }
}

#[test]
fn it_stops_although_a_client_holds_a_connection_and_frees_the_port() {
    let fixture = fixture();
    let address = fixture.server.address();
    let mut held = fixture.connect();
    held.write_all(b"GET /livez HTTP/1.1\r\n").expect("the server takes a part of a head");
    let began = settle_runtime::clock::monotonic_now();
    drop(fixture.server);
    assert!(settle_runtime::clock::monotonic_now() - began < PATIENCE);
    TcpListener::bind(address).expect("the port is free");
}
