//! The steps of a decision, each alone, in memory: decode, judge, decide, evolve, encode.
//!
//! `cargo bench -p settle-bench`. The store has its own: `cargo bench -p settle-store`.
#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::convert::Infallible;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use settle_engine::authorize::{self, Authorize, AuthorizeConfig};
use settle_engine::settle::{self, Settle, SettleConfig};
use settle_engine::stage::activation;
use settle_engine::{ActiveConfig, Meta, Payload, Rows, Stage, StateKey, StateRow};
use settle_ingest::generate::{Generated, Traffic, TrafficOptions};
use settle_types::Timestamp;
use settle_types::authorize::DecisionEvent;
use settle_types::event::SourcePosition;
use settle_types::request::{EventType, PaymentRequested};
use settle_types::settle::SettlementEvent;
use settle_types::topic;

/// Records that are worked on in turn.
const RECORDS: usize = 1_000;

fn requests() -> Vec<PaymentRequested> {
    let is_plain = |request: &PaymentRequested| {
        request.event_type == EventType::Payment && request.execute_at.is_none() && request.amount_minor > 0
    };
    Traffic::new(TrafficOptions::default())
        .filter_map(|generated| match generated {
            Generated::Request(request) if is_plain(&request) => Some(*request),
            _ => None,
        })
        .take(RECORDS)
        .collect()
}

fn position(topic: &str, offset: usize) -> SourcePosition {
    SourcePosition {
        topic: topic.into(),
        partition: 0,
        offset: i64::try_from(offset).expect("a small number"),
    }
}

fn wall() -> Timestamp {
    Timestamp::from_micros(1_772_409_600_000_000)
}

/// Rows that know all that a command asks for: nothing of it is there, as for most payments.
fn fetch<S: Stage>(command: &S::Command, now: Timestamp, rows: &mut Rows<S::Row>) {
    let Ok(()) = rows.fetch(|rows, missing| S::keys(command, now, rows, missing), nothing_is_there);
}

fn fetch_for_event<S: Stage>(event: &S::Event, rows: &mut Rows<S::Row>) {
    let Ok(()) = rows.fetch(|rows, missing| S::event_keys(event, rows, missing), nothing_is_there);
}

fn nothing_is_there<R: StateRow>(keys: &[StateKey], rows: &mut Rows<R>) -> Result<(), Infallible> {
    for key in keys {
        rows.fetched(key.clone(), None);
    }
    Ok(())
}

/// Calls `work` with each of the records in turn.
fn measure<T>(criterion: &mut Criterion, name: &str, records: &[T], mut work: impl FnMut(&T)) {
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(1));
    let mut next = records.iter().cycle();
    group.bench_function(name, |bencher| bencher.iter(|| work(next.next().expect("records are there"))));
    group.finish();
}

fn authorize_steps(criterion: &mut Criterion) {
    let settings = settle_config::demo_config().authorize_settings();
    let config = AuthorizeConfig::from_activation(&activation(&settings)).expect("the demo's configuration");
    let requests = requests();
    let bytes: Vec<Vec<u8>> = requests.iter().map(encoded).collect();
    measure(criterion, "decode request", &bytes, |bytes| {
        std::hint::black_box(settle_schema::decode::<PaymentRequested>(bytes).expect("a request"));
    });
    measure(criterion, "judge request", &requests, |request| {
        let decoded = Ok(request.clone());
        let command = authorize::Command::request(position(topic::REQUESTED, 0), decoded, |_| 0, &config);
        std::hint::black_box(command);
    });
    let mut commands = Vec::new();
    for (offset, request) in requests.iter().enumerate() {
        let at = position(topic::REQUESTED, offset);
        let command = authorize::Command::request(at, Ok(request.clone()), |_| 0, &config);
        let mut rows = Rows::default();
        let meta = Meta::new(0);
        let now = Authorize::now(&meta, &config, &command, wall());
        fetch::<Authorize>(&command, now, &mut rows);
        commands.push((command, rows, meta, now));
    }
    measure(criterion, "decide, AUTHORIZE", &commands, |(command, rows, meta, now)| {
        std::hint::black_box(Authorize::decide(rows, meta, &config, command, *now));
    });
    let events: Vec<DecisionEvent> = commands
        .iter()
        .flat_map(|(command, rows, meta, now)| Authorize::decide(rows, meta, &config, command, *now))
        .collect();
    evolve::<Authorize>(criterion, "evolve, AUTHORIZE", &events);
    let mut out = Vec::new();
    measure(criterion, "encode decision", &events, |event| {
        out.clear();
        settle_schema::encode(event, &mut out);
        std::hint::black_box(&out);
    });
    measure(criterion, "project decision", &events, |event| {
        std::hint::black_box(Authorize::project(event, None));
    });
    settle_steps(criterion, &events);
}

fn encoded(request: &PaymentRequested) -> Vec<u8> {
    let mut bytes = Vec::new();
    settle_schema::encode(request, &mut bytes);
    bytes
}

fn settle_steps(criterion: &mut Criterion, decided: &[DecisionEvent]) {
    let settings = settle_config::demo_config().settle_settings();
    let config = SettleConfig::from_activation(&activation(&settings)).expect("the demo's configuration");
    let mut commands = Vec::new();
    for (offset, event) in decided.iter().enumerate() {
        for output in Authorize::project(event, None) {
            let Payload::Approved(approved) = output.payload else { continue };
            let command = settle::Command::approved(position(topic::APPROVED, offset), Ok(approved));
            let (mut rows, meta) = (Rows::default(), Meta::new(0));
            let now = Settle::now(&meta, &config, &command, wall());
            fetch::<Settle>(&command, now, &mut rows);
            commands.push((command, rows, meta, now));
        }
    }
    measure(criterion, "decide, SETTLE", &commands, |(command, rows, meta, now)| {
        std::hint::black_box(Settle::decide(rows, meta, &config, command, *now));
    });
    let events: Vec<SettlementEvent> = commands
        .iter()
        .flat_map(|(command, rows, meta, now)| Settle::decide(rows, meta, &config, command, *now))
        .collect();
    evolve::<Settle>(criterion, "evolve, SETTLE", &events);
    let mut out = Vec::new();
    measure(criterion, "encode settlement event", &events, |event| {
        out.clear();
        settle_schema::encode(event, &mut out);
        std::hint::black_box(&out);
    });
    let transactions: Vec<_> = events.iter().filter_map(|event| event.ledger.clone()).collect();
    measure(criterion, "encode ledger transaction", &transactions, |transaction| {
        out.clear();
        settle_schema::encode(transaction, &mut out);
        std::hint::black_box(&out);
    });
}

/// Each event on rows of its own, which are made outside of the measured time.
fn evolve<S: Stage>(criterion: &mut Criterion, name: &str, events: &[S::Event]) {
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(1));
    let mut next = events.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || {
                let event = next.next().expect("events are there");
                let mut rows = Rows::default();
                fetch_for_event::<S>(event, &mut rows);
                (event, rows, Meta::new(0))
            },
            |(event, rows, meta)| S::evolve(rows, meta, event),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, authorize_steps);
criterion_main!(benches);
