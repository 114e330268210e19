//! Scripts of AUTHORIZE: steps, and in short what the last of them led to.

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::{ClockMode, Malformed};
use settle_types::Duration;
use settle_types::authorize::{DecisionEvent, Reason};
use settle_types::request::PaymentRequested;

use super::build::{at, noon, settle_settings};
use super::pipeline::Pipeline;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request in the right partition.
    Request(PaymentRequested),
    /// A request in the partition of another debtor.
    Elsewhere(PaymentRequested),
    /// AUTHORIZE reads the next request that was sent to its right partition.
    Rerouted,
    /// Somebody else writes a request to `payments.rerouted`, in the partition of another debtor.
    ReroutedElsewhere(PaymentRequested),
    /// Bytes that the schema layer refused with this code.
    Undecodable(&'static str),
    /// SETTLE refuses the approved payment with this id, for this code.
    Refuse(&'static str, &'static str),
    /// The wall clock goes on, and what is due is handled.
    Wait(Duration),
    /// The operator activates other settings.
    Reconfigure(Box<AuthorizeSettings>),
}

pub fn days(days: u32) -> Step {
    Step::Wait(Duration::from_days(days))
}

pub fn seconds(seconds: u32) -> Step {
    Step::Wait(Duration::from_seconds(seconds))
}

/// Runs the steps from Monday noon; returns the pipeline, and the events of the last step.
pub fn run(settings: &AuthorizeSettings, steps: &[Step]) -> (Pipeline, Vec<DecisionEvent>) {
    // Requests move the event clock; the wall clock is years ahead of them.
    let wall = if settings.clock.mode == ClockMode::Event { at(3_000, 0, 0) } else { noon() };
    let mut pipeline = Pipeline::new(settings, &settle_settings(&[]), wall);
    let mut before = pipeline.authorize[0].journal.len();
    for step in steps {
        before = pipeline.authorize[0].journal.len();
        apply(&mut pipeline, step);
    }
    let last = pipeline.authorize[0].journal[before..].to_vec();
    (pipeline, last)
}

fn apply(pipeline: &mut Pipeline, step: &Step) {
    match step {
        Step::Request(requested) => {
            pipeline.request(requested);
        }
        Step::Elsewhere(requested) => {
            pipeline.request_as(0, Ok(requested.clone()), 1);
        }
        Step::Rerouted => {
            pipeline.rerouted_one().expect("a re-routed request waits");
        }
        Step::ReroutedElsewhere(requested) => {
            pipeline.write_rerouted(0, requested, 1);
            pipeline.rerouted_one().expect("it was written");
        }
        Step::Undecodable(code) => {
            let malformed = Malformed { code, detail: "value: not a record".to_owned() };
            pipeline.request_as(0, Err(malformed), 0);
        }
        Step::Refuse(id, code) => pipeline.refuse(id, code),
        Step::Wait(duration) => {
            let wall = pipeline.authorize[0].wall.saturating_add(*duration);
            pipeline.set_wall(wall);
            pipeline.idle();
        }
        Step::Reconfigure(settings) => pipeline.authorize[0].reconfigure(&**settings),
    }
}

/// In short: `DECLINED ORIGINAL_UNKNOWN`, `p-1 SCHEDULED>APPROVED forwarded`; `nothing` for an event without a
/// body.
pub fn said(events: &[DecisionEvent]) -> String {
    events.iter().map(said_one).collect::<Vec<_>>().join("; ")
}

fn said_one(event: &DecisionEvent) -> String {
    if let Some(decision) = &event.decision {
        let outcome = decision.outcome.as_str().to_owned();
        return with_reasons(outcome, &decision.reasons, decision.forwarded);
    }
    if let Some(change) = &event.transition {
        let (from, to) = (change.from.as_str(), change.to.as_str());
        let text = format!("{} {from}>{to}", change.payment.payment_id);
        return with_reasons(text, &change.reasons, change.forwarded);
    }
    if event.config.is_some() { "CONFIG".to_owned() } else { "nothing".to_owned() }
}

fn with_reasons(mut text: String, reasons: &[Reason], is_forwarded: bool) -> String {
    for reason in reasons {
        text.push(' ');
        text.push_str(&reason.code);
    }
    if is_forwarded {
        text.push_str(" forwarded");
    }
    text
}
