//! Random streams of requests with many collisions, and the settings that the model of `super::model` knows.

use proptest::collection::vec;
use proptest::prelude::*;
use settle_engine::authorize::AuthorizeSettings;
use settle_engine::settle::SettleSettings;
use settle_risk::CheckKind;
use settle_settlement::{Contract, ContractStatus};
use settle_types::request::{EventType, PaymentRequested};
use settle_types::{BasisPoints, Timestamp};

use super::build::*;
use super::model::{Model, Terms};
use super::pipeline::Pipeline;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Op {
    Request(Box<PaymentRequested>),
    /// A request in the wrong partition.
    Misplaced(Box<PaymentRequested>),
    /// AUTHORIZE reads so many requests that were sent to their right partition.
    Rerouted(u8),
    /// SETTLE reads so many approved records.
    Settle(u8),
    /// AUTHORIZE reads so many refusals.
    Results(u8),
    Finish,
}

/// A stream, and the settings that it meets.
#[derive(Clone, Debug)]
pub struct Stream {
    pub terms: Terms,
    pub ops: Vec<Op>,
}

/// Keys for a week; time hardly moves beyond it.
const WEEKS: Terms = Terms {
    key_retention_days: 7,
    jump_seconds: 6 * 86_400,
    per_payment: 50_000,
    daily_sum: 50_000,
    daily_count: 2,
    reroutes: true,
};
/// Keys for more than a year, in leaps that reach the end of the 550 days for which payments are kept.
const YEARS: Terms = Terms { key_retention_days: 400, jump_seconds: 399 * 86_400, ..WEEKS };

pub fn authorize(terms: Terms) -> AuthorizeSettings {
    let codes = ["EUR", "JPY"];
    AuthorizeSettings {
        clock: event_clock(u32::try_from(terms.jump_seconds).expect("a few years")),
        key_retention_days: u32::try_from(terms.key_retention_days).expect("a few years"),
        reroute_wrong_partition: terms.reroutes,
        ..with_rules(vec![
            limit("large", CheckKind::LimitPerPayment, terms.per_payment, &codes),
            limit("sum", CheckKind::LimitDailySum, terms.daily_sum, &codes),
            limit("count", CheckKind::LimitDailyCount, terms.daily_count, &codes),
        ])
    }
}

/// `m0` with everything, `m1` with another clock and a cap on debt, `m2` blocked, `m3` without a contract.
pub fn settle() -> SettleSettings {
    let everything = Contract {
        fees: fee("CARD", 290, &[("EUR", 25), ("JPY", 30)]),
        reserve_basis_points: BasisPoints::new(1_000),
        reserve_days: 2,
        minimum_payout_minor: amounts(&[("EUR", 5_000)]),
        refund_returns_fee: true,
        ..Contract::default()
    };
    let capped = Contract {
        fees: fee("*", 100, &[]),
        cut_off: "17:00".to_owned(),
        calendar: "every-day".to_owned(),
        settlement_delay_days: 2,
        net_debit_cap_minor: amounts(&[("EUR", 3_000), ("JPY", 0)]),
        ..Contract::default()
    };
    let blocked = Contract { status: ContractStatus::Blocked, ..plain_contract() };
    settle_settings(&[("m0", everything), ("m1", capped), ("m2", blocked)])
}

/// What a request is made of, before the stream gives it a past.
#[derive(Clone, Debug)]
struct Seed {
    kind: EventType,
    id: u8,
    other_key: Option<u8>,
    of_earlier: Option<prop::sample::Index>,
    debtor: u8,
    merchant: u8,
    currency: &'static str,
    amount: i64,
    share: u8,
    by_card: bool,
    step_seconds: i64,
    execute_in: Option<i64>,
    is_retry: bool,
    is_misplaced: bool,
}

#[derive(Clone, Debug)]
enum SeedOp {
    Request(Seed),
    Rerouted(u8),
    Settle(u8),
    Results(u8),
    Finish,
}

fn kinds() -> impl Strategy<Value = EventType> {
    prop_oneof![
        10 => Just(EventType::Payment),
        4 => Just(EventType::Refund),
        3 => Just(EventType::Chargeback),
        3 => Just(EventType::ChargebackReversal),
        3 => Just(EventType::Cancellation),
    ]
}

fn seeds() -> impl Strategy<Value = Seed> {
    let identity = (
        kinds(),
        0..24u8,
        proptest::option::weighted(0.15, 0..8u8),
        proptest::option::weighted(0.9, any::<prop::sample::Index>()),
    );
    let parties = (0..3u8, prop_oneof![5 => Just(0u8), 4 => Just(1u8), 1 => Just(2u8), 1 => Just(3u8)]);
    let currencies = prop_oneof![20 => Just("EUR"), 8 => Just("JPY"), 1 => Just("CZK"), 1 => Just("XXX")];
    let sums = [1i64, 99, 1_050, 2_500, 5_000, 9_999, 10_000, 20_050, 50_000];
    let sums = prop_oneof![20 => prop::sample::select(sums.to_vec()), 1 => Just(50_001i64), 1 => Just(0i64)];
    let money = (currencies, sums, 0..6u8, prop::bool::weighted(0.9));
    let steps = prop_oneof![
        8 => Just(0i64),
        6 => -7_200..20_000i64,
        2 => 20_000..260_000i64,
        1 => prop::sample::select(vec![6 * 86_400i64, 6 * 86_400 + 1, 200 * 86_400, 399 * 86_400]),
    ];
    // Later the same day, when the debtor may have paid more, or within a few days.
    let delays = prop_oneof![Just(20_000i64), 0..400_000i64];
    let time = (steps, proptest::option::weighted(0.25, delays));
    let attempt = (prop::bool::weighted(0.12), prop::bool::weighted(0.08));
    (identity, parties, money, time, attempt).prop_map(|(identity, parties, money, time, attempt)| Seed {
        kind: identity.0,
        id: identity.1,
        other_key: identity.2,
        of_earlier: identity.3,
        debtor: parties.0,
        merchant: parties.1,
        currency: money.0,
        amount: money.1,
        share: money.2,
        by_card: money.3,
        step_seconds: time.0,
        execute_in: time.1,
        is_retry: attempt.0,
        is_misplaced: attempt.1,
    })
}

pub fn streams(longest: usize) -> impl Strategy<Value = Stream> {
    let op = prop_oneof![
        16 => seeds().prop_map(SeedOp::Request),
        2 => (1..4u8).prop_map(SeedOp::Rerouted),
        5 => (1..6u8).prop_map(SeedOp::Settle),
        3 => (1..4u8).prop_map(SeedOp::Results),
        1 => Just(SeedOp::Finish),
    ];
    let terms = prop_oneof![3 => Just(WEEKS), 1 => Just(YEARS)];
    let terms = (terms, prop::bool::weighted(0.8)).prop_map(|(terms, reroutes)| Terms { reroutes, ..terms });
    (terms, vec(op, 1..longest)).prop_map(|(terms, seeds)| Stream { terms, ops: with_past(terms, seeds) })
}

/// Makes requests that refer to earlier ones of their stream.
fn with_past(terms: Terms, seeds: Vec<SeedOp>) -> Vec<Op> {
    let mut past: Vec<PaymentRequested> = Vec::new();
    let mut now_seconds = noon().as_micros() / 1_000_000;
    let mut ops = Vec::new();
    for seed in seeds {
        let seed = match seed {
            SeedOp::Request(seed) => seed,
            SeedOp::Rerouted(records) => {
                ops.push(Op::Rerouted(records));
                continue;
            }
            SeedOp::Settle(records) => {
                ops.push(Op::Settle(records));
                continue;
            }
            SeedOp::Results(records) => {
                ops.push(Op::Results(records));
                continue;
            }
            SeedOp::Finish => {
                ops.push(Op::Finish);
                continue;
            }
        };
        let requested_seconds = now_seconds + seed.step_seconds;
        let mut request = match (seed.is_retry, seed.of_earlier) {
            (true, Some(index)) if !past.is_empty() => index.get(&past).clone(),
            _ => fresh(&seed, &past, requested_seconds),
        };
        request.requested_at = Timestamp::from_micros(requested_seconds * 1_000_000);
        // What is malformed or misplaced does not move the clock of the engine either.
        let is_malformed = request.amount_minor <= 0 || request.currency == "XXX";
        if seed.step_seconds <= terms.jump_seconds && !is_malformed && !seed.is_misplaced {
            now_seconds = now_seconds.max(requested_seconds);
        }
        past.push(request.clone());
        let request = Box::new(request);
        ops.push(if seed.is_misplaced { Op::Misplaced(request) } else { Op::Request(request) });
    }
    ops
}

fn fresh(seed: &Seed, past: &[PaymentRequested], requested_seconds: i64) -> PaymentRequested {
    let id = format!("p{:02}", seed.id);
    let key = seed.other_key.map_or_else(|| format!("key-{id}"), |key| format!("key-{key}"));
    let mut request = PaymentRequested {
        event_type: seed.kind,
        payment_id: id.as_str().into(),
        idempotency_key: key.as_str().into(),
        debtor_account: format!("d{}", seed.debtor).as_str().into(),
        merchant_id: format!("m{}", seed.merchant).as_str().into(),
        amount_minor: seed.amount,
        currency: seed.currency.into(),
        payment_method: if seed.by_card { "CARD" } else { "BANK_TRANSFER" }.into(),
        ..PaymentRequested::default()
    };
    if seed.kind == EventType::Payment {
        let execute_at = seed.execute_in.map(|seconds| (requested_seconds + seconds) * 1_000_000);
        request.execute_at = execute_at.map(Timestamp::from_micros);
        return request;
    }
    let needed =
        if seed.kind == EventType::ChargebackReversal { EventType::Chargeback } else { EventType::Payment };
    let fitting: Vec<&PaymentRequested> = past
        .iter()
        .filter(|earlier| earlier.event_type == needed && earlier.payment_id != request.payment_id)
        .collect();
    match seed.of_earlier {
        Some(index) if !fitting.is_empty() => {
            let original = index.get(&fitting);
            request.original_payment_id = Some(original.payment_id.clone());
            request.debtor_account = original.debtor_account.clone();
            request.merchant_id = original.merchant_id.clone();
            let whole = original.amount_minor;
            let is_whole = seed.kind == EventType::Cancellation && seed.share < 5;
            request.amount_minor = match seed.share {
                _ if is_whole => whole,
                0 | 1 => whole,
                2 | 3 => whole / 2 + 1,
                4 => whole / 3,
                _ => whole + 1,
            };
            if seed.amount != 99 {
                request.currency = original.currency.clone();
            }
        }
        _ => {
            let other = format!("p{:02}", (seed.id + 1) % 24);
            request.original_payment_id = Some(other.as_str().into());
        }
    }
    request
}

/// Plays a stream to the engine.
pub fn play(pipeline: &mut Pipeline, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Request(request) => {
                pipeline.request(request);
            }
            Op::Misplaced(request) => {
                pipeline.misplaced(request);
            }
            Op::Rerouted(records) => (0..*records).for_each(|_| {
                pipeline.rerouted_one();
            }),
            Op::Settle(records) => (0..*records).for_each(|_| {
                pipeline.settle_one();
            }),
            Op::Results(records) => (0..*records).for_each(|_| {
                pipeline.result_one();
            }),
            Op::Finish => pipeline.finish(),
        }
    }
}

/// Plays a stream to the model.
pub fn play_model(model: &mut Model, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Request(request) => model.request(request),
            Op::Misplaced(request) => model.misplaced(request),
            Op::Rerouted(records) => (0..*records).for_each(|_| model.rerouted_one()),
            Op::Settle(records) => (0..*records).for_each(|_| model.settle_one()),
            Op::Results(records) => (0..*records).for_each(|_| model.result_one()),
            Op::Finish => model.settle.finish(),
        }
    }
}
