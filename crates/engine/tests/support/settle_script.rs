//! Scripts of SETTLE: steps through both stages, and in short what the last of them led to in SETTLE.

use settle_engine::settle::SettleSettings;
use settle_engine::{ClockConfig, Malformed};
use settle_settlement::Contract;
use settle_types::Timestamp;
use settle_types::authorize::PaymentApproved;
use settle_types::request::PaymentRequested;
use settle_types::settle::{BatchClosed, SettlementDecision, SettlementEvent};

use super::build::{authorize_settings, noon, settle_settings};
use super::pipeline::Pipeline;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request, decided by AUTHORIZE; SETTLE does not read it yet.
    Request(PaymentRequested),
    /// SETTLE reads what waits.
    Settle,
    /// Both.
    Book(PaymentRequested),
    /// A record of the test's making.
    Approved(Box<PaymentApproved>),
    /// Bytes that the schema layer refused with this code.
    Undecodable(&'static str),
    /// The wall clock goes to this instant, and what is due is handled.
    At(Timestamp),
    /// As [`Step::At`], but nothing is looked at yet: a busy shell.
    ClockOnly(Timestamp),
    /// An operator finishes the run.
    Finish,
    /// Other contracts are activated.
    Contracts(Vec<(&'static str, Contract)>),
}

/// These contracts, on the wall clock.
pub fn settings(contracts: &[(&str, Contract)]) -> SettleSettings {
    SettleSettings { clock: ClockConfig::default(), ..settle_settings(contracts) }
}

/// Runs the steps from Monday noon; returns the pipeline, and the events of SETTLE in the last step.
pub fn run(contracts: &[(&str, Contract)], steps: &[Step]) -> (Pipeline, Vec<SettlementEvent>) {
    let mut pipeline = Pipeline::new(&authorize_settings(), &settings(contracts), noon());
    let mut before = pipeline.settle[0].journal.len();
    for step in steps {
        before = pipeline.settle[0].journal.len();
        apply(&mut pipeline, step);
    }
    let last = pipeline.settle[0].journal[before..].to_vec();
    (pipeline, last)
}

fn apply(pipeline: &mut Pipeline, step: &Step) {
    match step {
        Step::Request(requested) => {
            let events = pipeline.request(requested);
            let decision = events[0].decision.as_ref().expect("a decision");
            assert!(decision.forwarded, "{}: {:?}", requested.payment_id, decision.reasons);
        }
        Step::Settle => while pipeline.settle_one().is_some() {},
        Step::Book(requested) => {
            apply(pipeline, &Step::Request(requested.clone()));
            apply(pipeline, &Step::Settle);
        }
        Step::Approved(approved) => {
            pipeline.approved(Ok((**approved).clone()));
        }
        Step::Undecodable(code) => {
            pipeline.approved(Err(Malformed { code, detail: "value: not a record".to_owned() }));
        }
        Step::At(time) => {
            pipeline.set_wall(*time);
            pipeline.idle();
        }
        Step::ClockOnly(time) => pipeline.set_wall(*time),
        Step::Finish => pipeline.finish(),
        Step::Contracts(contracts) => pipeline.settle[0].reconfigure(&settings(contracts)),
    }
}

/// In short: `opened 03-02 carried 0; BOOKED 03-02 fee 100`, `REFUSED NO_CONTRACT`,
/// `CUT_OFF 03-02 CARRIED reserve 0 payout 0 carried 9900`. Batches are named by their day.
pub fn said(events: &[SettlementEvent]) -> String {
    let mut parts = Vec::new();
    for event in events {
        if let Some(opened) = &event.batch_opened {
            let carried = opened.carried_in_minor.get();
            parts.push(format!("opened {} carried {carried}", day_of(opened.batch_id.as_str())));
        }
        if let Some(decision) = &event.decision {
            parts.push(of_decision(decision));
        }
        if let Some(closed) = &event.batch_closed {
            parts.push(of_close(closed));
        }
        if let Some(released) = &event.reserve_released {
            let (from, into) = (released.from_batch_id.as_str(), released.into_batch_id.as_str());
            let amount = released.amount_minor.get();
            parts.push(format!("released {amount} of {} into {}", day_of(from), day_of(into)));
        }
        if event.config.is_some() {
            parts.push("CONFIG".to_owned());
        }
    }
    parts.join("; ")
}

fn of_decision(decision: &SettlementDecision) -> String {
    let mut text = decision.outcome.as_str().to_owned();
    for reason in &decision.reasons {
        text.push_str(&format!(" {}", reason.code));
    }
    if let Some(booking) = &decision.booking {
        text.push_str(&format!(" {} fee {}", day_of(booking.batch_id.as_str()), booking.fee_minor.get()));
        if let Some(late_for) = &booking.late_for {
            text.push_str(&format!(" late for {}", day_of(late_for.as_str())));
        }
    }
    text
}

fn of_close(closed: &BatchClosed) -> String {
    let cause = serde_json::to_string(&closed.cause).expect("a cause becomes JSON");
    let mut text = format!(
        "{} {} {} reserve {}",
        cause.trim_matches('"'),
        day_of(closed.batch_id.as_str()),
        closed.status.as_str(),
        closed.reserve_minor.get()
    );
    match &closed.payout {
        Some(payout) => {
            assert_eq!(closed.carried_out_minor.get(), 0, "what is paid out is not carried");
            text.push_str(&format!(
                " payout {} on {}",
                payout.amount_minor.get(),
                &payout.value_date.to_string()[5..]
            ));
        }
        None => text.push_str(&format!(" carried {}", closed.carried_out_minor.get())),
    }
    text
}

/// `03-02` of `m-1:EUR:2026-03-02`.
fn day_of(batch_id: &str) -> &str {
    batch_id.rsplit_once(":2026-").expect("a batch of 2026").1
}
