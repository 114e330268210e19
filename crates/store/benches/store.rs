//! What a store reads and applies for a batch of 1,000 decisions: `cargo bench -p settle-store`.
#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use settle_engine::authorize::AuthorizeRow;
use settle_engine::authorize::state::{
    IdempotencyRow, PaymentRow, VelocityRow, idempotency_key, payment_key, velocity_expiry, velocity_key,
};
use settle_engine::{FOLD_VERSION, Meta, Rows, StateKey};
use settle_store::{Identity, Progress, Resources, StateStore, Store, StoreOptions};
use settle_types::authorize::{Fingerprint, Outcome, Payment};
use settle_types::request::EventType;
use settle_types::{
    Currency, Day, DebtorAccount, DecisionId, Digest, IdempotencyKey, MerchantId, Minor, PaymentId, Timestamp,
};

/// Decisions of a batch.
const BATCH: u64 = 1_000;
/// Decisions that the store holds before.
const HELD: u64 = 200_000;

fn currency() -> Currency {
    Currency::new("EUR").expect("a code")
}

/// The rows that the first decision about a payment writes: its key, the payment, the debtor's day.
fn rows_of(number: u64) -> [(StateKey, AuthorizeRow); 3] {
    let debtor = DebtorAccount::new(format!("acct-{:06}", number % 50_000));
    let merchant = MerchantId::new(format!("m-{:04}", number % 200));
    let (id, key) = (PaymentId::new(format!("pay-{number}")), IdempotencyKey::new(format!("key-{number}")));
    let decision_id = DecisionId::new(format!("payments.requested-3-{number}"));
    let day = Day::from_civil(2026, 3, 2).expect("a day");
    let payment = Payment {
        event_type: EventType::Payment,
        payment_id: id.clone(),
        original_payment_id: None,
        idempotency_key: key.clone(),
        debtor_account: debtor.clone(),
        merchant_id: merchant.clone(),
        amount_minor: Minor::new(12_345),
        currency: currency(),
        payment_method: "CARD".into(),
        requested_at: day.start(),
        execute_at: None,
    };
    [
        (
            idempotency_key(&merchant, &debtor, &key),
            AuthorizeRow::Idempotency(IdempotencyRow {
                fingerprint: Fingerprint { version: 1, hash: Digest::from_bytes([7; 32]) },
                decision_id: decision_id.clone(),
                outcome: Outcome::Approved,
                payment_id: id.clone(),
                expires_at: Timestamp::MAX,
            }),
        ),
        (
            payment_key(&debtor, &merchant, &id),
            AuthorizeRow::Payment(Box::new(PaymentRow {
                decision_id,
                status: Outcome::Approved,
                payment,
                refunded: Minor::ZERO,
                disputed: Minor::ZERO,
                counted_on: Some(day),
                expires_at: Timestamp::MAX,
            })),
        ),
        (
            velocity_key(&debtor, currency(), day),
            AuthorizeRow::Velocity(VelocityRow { sum: 12_345, count: 1, expires_at: velocity_expiry(day) }),
        ),
    ]
}

fn batch(from: u64) -> Rows<AuthorizeRow> {
    let mut rows = Rows::default();
    for (key, row) in (from..from + BATCH).flat_map(rows_of) {
        rows.put(key, row);
    }
    rows
}

fn progress(events: u64) -> Progress {
    let mut meta = Meta::new(3);
    meta.next_sequence = i64::try_from(events).expect("a small number");
    Progress {
        fold_version: FOLD_VERSION,
        journal_next_offset: events,
        journal_topic_identity: String::new(),
        meta,
    }
}

fn store_steps(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let resources = Resources::new(StoreOptions::default()).expect("the defaults are sound");
    let identity = Identity { stage: "authorize", partition: 3, fold_version: FOLD_VERSION };
    let mut store: Store<AuthorizeRow> =
        Store::open(&folder.path().join("store"), &resources, identity).expect("a store opens");
    let mut applied = 0;
    while applied < HELD {
        let rows = batch(applied);
        applied += BATCH;
        store.apply(&rows, &progress(applied)).expect("the store takes a batch");
    }
    let mut group = criterion.benchmark_group("store");
    group.sample_size(20);
    group.throughput(Throughput::Elements(BATCH));
    let absent: Vec<StateKey> =
        (HELD * 10..HELD * 10 + BATCH).flat_map(rows_of).map(|(key, _)| key).collect();
    group.bench_function("read, nothing there", |bencher| {
        bencher.iter(|| {
            let mut rows = Rows::default();
            store.load(&absent, &mut rows).expect("the store reads");
            rows
        });
    });
    let present: Vec<StateKey> =
        (0..BATCH).map(|number| number * (HELD / BATCH)).flat_map(rows_of).map(|(key, _)| key).collect();
    group.bench_function("read, all there", |bencher| {
        bencher.iter(|| {
            let mut rows = Rows::default();
            store.load(&present, &mut rows).expect("the store reads");
            rows
        });
    });
    group.bench_function("apply", |bencher| {
        bencher.iter_batched(
            || {
                let rows = batch(applied);
                applied += BATCH;
                (rows, progress(applied))
            },
            |(rows, progress)| store.apply(&rows, &progress).expect("the store takes a batch"),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, store_steps);
criterion_main!(benches);
