//! Properties of both stages over random streams: the journals and the ledger are those of a naive model; the
//! invariants of the design hold; nothing depends on commits, expired rows or restarts.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use settle_engine::StateKey;
use settle_engine::authorize::{Authorize, AuthorizeRow};
use settle_engine::settle::{Settle, SettleRow};
use settle_ledger::TrialBalance;
use settle_types::Timestamp;
use support::build::at;
use support::harness::{Shell, fold};
use support::invariants::*;
use support::model::Model;
use support::model_lines::{authorize_line, settle_lines};
use support::pipeline::{Partitioner, Pipeline, first, spread};
use support::streams::{self, Op, Stream, play, play_model, streams};

/// Years after every request: the wall clock bounds none of them.
fn wall() -> Timestamp {
    at(20_000, 0, 0)
}

fn run(stream: &Stream, partitions: usize, partitioner: Partitioner, shell: Shell) -> Pipeline {
    let authorize = streams::authorize(stream.terms);
    let mut pipeline = Pipeline::with(&authorize, &streams::settle(), wall(), partitions, partitioner, shell);
    play(&mut pipeline, &stream.ops);
    pipeline
}

fn one_partition(stream: &Stream) -> Pipeline {
    run(stream, 1, first, Shell::default())
}

fn cases(count: u32) -> Config {
    Config { cases: count, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() }
}

proptest! {
    #![proptest_config(cases(600))]

    /// Each journal says what the model predicts, event by event; the ledger has the model's balances; what
    /// AUTHORIZE remembers of each payment is what the model remembers.
    #[test]
    fn both_stages_do_what_the_naive_model_does(stream in streams(150)) {
        let mut pipeline = one_partition(&stream);
        let mut model = Model::new(stream.terms);
        play_model(&mut model, &stream.ops);

        let authorized: Vec<String> = pipeline.authorize[0].journal.iter().map(authorize_line).collect();
        prop_assert_eq!(&authorized, &model.authorize_lines);
        let settled: Vec<String> = pipeline.settle[0].journal.iter().flat_map(settle_lines).collect();
        prop_assert_eq!(&settled, &model.settle.lines);

        let mut trial = TrialBalance::default();
        pipeline.ledger(0).into_iter().for_each(|transaction| trial.add(transaction));
        let found: BTreeMap<(String, String), i128> = trial
            .rows()
            .map(|(account, currency, sides)| ((account.to_owned(), currency.to_string()), sides.balance()))
            .collect();
        prop_assert_eq!(&found, &model.settle.balances);
        let mut kept = BTreeMap::new();
        for (key, row) in pipeline.settle[0].state() {
            if let SettleRow::Balance(row) = row {
                kept.insert(key, row.debit_balance);
            }
        }
        let expected: BTreeMap<StateKey, i128> = found
            .iter()
            .map(|((account, code), sum)| {
                (settle_engine::settle::state::balance_key(account, support::build::currency(code)), *sum)
            })
            .collect();
        prop_assert_eq!(kept, expected, "the balances of the state are those of the ledger");

        let mut remembered = BTreeMap::new();
        for row in pipeline.authorize[0].live_state().into_values() {
            if let AuthorizeRow::Payment(row) = row {
                let text = |id: &str| id.to_owned();
                let key = (
                    text(row.payment.debtor_account.as_str()),
                    text(row.payment.merchant_id.as_str()),
                    text(row.payment.payment_id.as_str()),
                );
                remembered.insert(key, (row.status.as_str(), row.refunded.get(), row.disputed.get()));
            }
        }
        prop_assert_eq!(remembered, model.payments());
    }

    /// I6–I9 and I11, with one partition and with several.
    #[test]
    fn the_invariants_hold(stream in streams(150), partitions in 1usize..4) {
        let mut pipeline = run(&stream, partitions, spread, Shell::default());
        check_conservation(&pipeline)?;
        pipeline.run_until_idle();
        prop_assert_eq!(pipeline.in_flight().count() + pipeline.waiting_results(), 0);
        prop_assert_eq!(pipeline.waiting_rerouted(), 0);
        check_conservation(&pipeline)?;
        check_rerouted(&pipeline)?;
        for harness in &pipeline.authorize {
            check_dense::<Authorize>(harness)?;
            check_keys_answer_once(&harness.journal)?;
        }
        for partition in 0..partitions {
            check_dense::<Settle>(&pipeline.settle[partition])?;
            check_ledger(&pipeline, partition)?;
            check_booked_once(&pipeline.settle[partition].journal)?;
            check_positions(&mut pipeline.settle[partition])?;
        }
        if stream.terms.key_retention_days == 7 {
            check_stages_agree(&mut pipeline)?;
        }
    }

    /// I10: rows and meta are the fold of the journal, from nothing and over a restart anywhere.
    #[test]
    fn the_state_is_the_fold_of_the_journal(stream in streams(120), restart in any::<prop::sample::Index>()) {
        let mut pipeline = one_partition(&stream);
        check_fold::<Authorize>(&mut pipeline.authorize[0], restart)?;
        check_fold::<Settle>(&mut pipeline.settle[0], restart)?;
    }

    /// As above, for the state in the middle of a stream: a prefix of the journal gives the state of then.
    #[test]
    fn a_prefix_of_the_journal_gives_the_state_of_then(stream in streams(120), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(stream.ops.len());
        let shorter = Stream { ops: stream.ops[..cut].to_vec(), ..stream.clone() };
        let mut then = one_partition(&shorter);
        let whole = one_partition(&stream);
        let events = then.authorize[0].journal.len();
        let prefix = fold::<Authorize>(0, &whole.authorize[0].journal[..events], 0);
        prop_assert_eq!(prefix, (then.authorize[0].state(), then.authorize[0].meta.clone()));
        let events = then.settle[0].journal.len();
        let prefix = fold::<Settle>(0, &whole.settle[0].journal[..events], 0);
        prop_assert_eq!(prefix, (then.settle[0].state(), then.settle[0].meta.clone()));
    }

    /// The same input gives the same bytes, whenever the shell commits and whether its store still has rows that
    /// have expired.
    #[test]
    fn journals_are_the_same_byte_for_byte(
        stream in streams(120),
        commit_every in 1usize..40,
        hides_expired in any::<bool>(),
    ) {
        let plain = one_partition(&stream);
        let other = run(&stream, 1, first, Shell { commit_every, hides_expired });
        prop_assert_eq!(plain.authorize[0].journal_bytes(), other.authorize[0].journal_bytes());
        prop_assert_eq!(plain.settle[0].journal_bytes(), other.settle[0].journal_bytes());
        prop_assert_eq!(&plain.authorize[0].outputs, &other.authorize[0].outputs);
        prop_assert_eq!(&plain.settle[0].outputs, &other.settle[0].outputs);
        prop_assert_eq!(&plain.settle[0].journal_keys, &other.settle[0].journal_keys);
    }
}

/// The streams above would prove little if they never got anywhere: a fixed set of them reaches all of this.
#[test]
fn the_streams_reach_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let strategy = streams(150);
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1_000 {
        let stream = strategy.new_tree(&mut runner).expect("a stream").current();
        let mut pipeline = one_partition(&stream);
        pipeline.run_until_idle();
        for event in &pipeline.authorize[0].journal {
            let line = authorize_line(event);
            // A transition without the id of its payment.
            let what =
                line.split_once(' ').filter(|(_, rest)| rest.contains('>')).map_or(&*line, |(_, rest)| rest);
            *reached.entry(what.to_owned()).or_default() += 1;
        }
        for line in pipeline.settle[0].journal.iter().flat_map(settle_lines) {
            let words: Vec<&str> = line.split(' ').collect();
            let what = match words[0] {
                "REFUSED" => format!("SETTLE {}", words[2]),
                "BOOKED" if line.ends_with(" late") => "BOOKED late".to_owned(),
                "CLOSED" => format!("CLOSED {}", if line.contains("payout") { "paid" } else { "carried" }),
                kind => kind.to_owned(),
            };
            *reached.entry(what).or_default() += 1;
        }
        *reached.entry("finish".to_owned()).or_default() +=
            stream.ops.iter().filter(|op| matches!(op, Op::Finish)).count();
    }
    let expected = [
        "APPROVED",
        "SCHEDULED",
        "REPLAYED REPLAY",
        "CONFLICT IDEMPOTENCY_KEY_REUSED",
        "CONFLICT PAYMENT_ID_REUSED",
        "INVALID AMOUNT_NOT_POSITIVE",
        "INVALID CURRENCY_UNKNOWN",
        "INVALID CLOCK_SKEW",
        "INVALID WRONG_PARTITION",
        "REROUTED WRONG_PARTITION",
        "DECLINED NO_LIMIT_FOR_CURRENCY",
        "DECLINED LIMIT_PER_PAYMENT",
        "DECLINED LIMIT_DAILY_SUM",
        "DECLINED LIMIT_DAILY_COUNT",
        "DECLINED ORIGINAL_UNKNOWN",
        "DECLINED ORIGINAL_WRONG_TYPE",
        "DECLINED ORIGINAL_NOT_APPROVED",
        "DECLINED CURRENCY_MISMATCH",
        "DECLINED AMOUNT_ABOVE_REMAINDER",
        "DECLINED AMOUNT_MISMATCH",
        "DECLINED ORIGINAL_HAS_FOLLOW_UPS",
        "SCHEDULED>APPROVED",
        "SCHEDULED>DECLINED LIMIT_DAILY_COUNT",
        "SCHEDULED>CANCELLED",
        "APPROVED>CANCELLED",
        "APPROVED>REFUSED NO_CONTRACT",
        "CANCELLED>REFUSED NO_CONTRACT",
        "APPROVED>REFUSED ORIGINAL_NOT_BOOKED",
        "APPROVED>REFUSED BATCH_CLOSED",
        "CANCELLED>APPROVED BATCH_CLOSED",
        "SETTLE PAYMENT_ID_REUSED",
        "SETTLE NO_CONTRACT",
        "SETTLE MERCHANT_BLOCKED",
        "SETTLE NO_FEE_FOR_METHOD",
        "SETTLE ORIGINAL_NOT_BOOKED",
        "SETTLE BATCH_CLOSED",
        "SETTLE NET_DEBIT_CAP",
        "BOOKED",
        "BOOKED late",
        "OPENED",
        "CLOSED paid",
        "CLOSED carried",
        "RELEASED",
        "finish",
    ];
    let missing: Vec<_> = expected.iter().filter(|what| !reached.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}; reached: {reached:#?}");
}
