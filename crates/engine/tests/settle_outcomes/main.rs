//! SETTLE: a row per outcome. Each row is a script; what is compared is what its last step led to.

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod bookings;
mod reserves;
mod rows;

use rows::{Row, free, midnight, p, reserving};
use settle_types::request::PaymentRequested;
use support::build::*;
use support::reasons;
use support::settle_script::Step::{At, Finish};
use support::settle_script::{run, said};

fn all_rows() -> Vec<Row> {
    [
        bookings::refused(),
        bookings::cancellations(),
        batches::batches(),
        batches::changed_contracts(),
        reserves::reserves(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_outcome() {
    let mut produced = Vec::new();
    let mut wrong = Vec::new();
    for Row { name, contract, steps, expected } in all_rows() {
        let (pipeline, events) = run(&[("m-1", contract)], &steps);
        let found = said(&events);
        if found != expected {
            wrong.push(format!("{name}:\n  expected `{expected}`\n  found    `{found}`"));
        }
        for decision in pipeline.settle[0].journal.iter().filter_map(|event| event.decision.as_ref()) {
            produced.extend(decision.reasons.iter().map(|reason| reason.code.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    reasons::assert_produced(reasons::OF_SETTLE, produced.into_iter());
    reasons::assert_complete();
}

#[test]
fn a_finish_advances_no_clock() {
    let (mut pipeline, _) = run(&[("m-1", reserving(3))], &[p("p-1"), Finish]);
    assert_eq!(pipeline.settle[0].meta.now, noon());
    let waiting = pipeline.settle[0].state().into_keys().filter_map(|key| key.due_at()).collect::<Vec<_>>();
    let three_days_on = at(3, 12, 0);
    assert_eq!(waiting, [three_days_on], "the reserve is counted from the close");
}

#[test]
fn the_clock_of_settle_is_that_of_authorize() {
    let mut settings = support::settle_script::settings(&[("m-1", free())]);
    settings.clock = event_clock(3 * 86_400);
    let mut pipeline = support::pipeline::Pipeline::new(&authorize_settings(), &settings, noon());
    pipeline.request(&payment("p-1"));
    pipeline.set_wall(at(5, 0, 0));
    pipeline.settle_one();
    assert_eq!(pipeline.settle[0].meta.now, noon(), "the wall clock does not count on the event clock");
    pipeline.request(&PaymentRequested { requested_at: noon(), ..payment("p-2") });
    pipeline.settle_one();
    assert_eq!(pipeline.settle[0].meta.now, at(5, 0, 0), "AUTHORIZE decided it then");
}

#[test]
fn a_ledger_transaction_says_what_it_books() {
    let (pipeline, _) = run(&[("m-1", plain_contract())], &[p("p-1"), At(midnight(1))]);
    let found: Vec<String> = pipeline
        .ledger(0)
        .iter()
        .map(|transaction| {
            let decision = transaction.decision_id.as_ref().map_or("none", |id| id.as_str());
            format!(
                "{} {} {} {decision} {}",
                transaction.transaction_id,
                transaction.posting,
                transaction.batch_id,
                transaction.effective_at
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "0-0 SALE m-1:EUR:2026-03-02 payments.requested-0-0 2026-03-02T12:00:00.000000Z",
            "0-1 BATCH_CLOSE m-1:EUR:2026-03-02 none 2026-03-03T00:00:00.000000Z",
        ]
    );
}
