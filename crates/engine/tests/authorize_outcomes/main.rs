//! AUTHORIZE: a row per outcome and reason. Each row is a script; what is compared is what its last step led to.

#[path = "../support/mod.rs"]
mod support;

mod follow_ups;
mod later;
mod requests;
mod rows;
mod rules;

use rows::{Row, p, scheduled};
use settle_engine::authorize::AuthorizeSettings;
use settle_types::authorize::Outcome;
use settle_types::reason;
use settle_types::request::PaymentRequested;
use support::build::*;
use support::reasons;
use support::script::Step::{Request, Undecodable};
use support::script::{Step, days, run, said};

fn all_rows() -> Vec<Row> {
    [
        requests::malformed(),
        requests::misplaced(),
        requests::used_before(),
        follow_ups::follow_ups(),
        follow_ups::cancellations(),
        rules::rules(),
        later::schedules(),
        later::refusals(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_outcome() {
    let mut produced = Vec::new();
    let mut wrong = Vec::new();
    for Row { name, settings, steps, expected } in all_rows() {
        let (_, events) = run(&settings, &steps);
        let found = said(&events);
        if found != expected {
            wrong.push(format!("{name}: expected `{expected}`, found `{found}`"));
        }
        for decision in events.iter().filter_map(|event| event.decision.as_ref()) {
            produced.extend(decision.reasons.iter().map(|reason| reason.code.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    reasons::assert_produced(reasons::OF_AUTHORIZE, produced.into_iter());
    reasons::assert_complete();
}

#[test]
fn a_replay_names_the_first_decision_and_its_outcome_of_then() {
    let steps = [Request(scheduled("p-1", 2)), days(3), Request(scheduled("p-1", 2))];
    let (pipeline, events) = run(&authorize_settings(), &steps);
    let first = pipeline.authorize[0].journal[1].decision.clone().expect("the first decision");
    let replay = events[0].decision.clone().expect("a decision");
    let named = replay.first.expect("the first decision is named");
    assert_eq!(named.decision_id, first.decision_id);
    assert_eq!(named.outcome, Outcome::Scheduled, "a used key never changes its answer");
    assert_eq!(replay.fingerprint, first.fingerprint);
    assert_eq!((replay.key_expires_at, replay.forwarded), (None, false));
}

#[test]
fn a_date_far_ahead_expires_no_key_whatever_the_clock() {
    let event = AuthorizeSettings { clock: event_clock(6 * 86_400), ..authorize_settings() };
    for settings in [authorize_settings(), event] {
        let far = PaymentRequested { requested_at: at(400, 0, 0), ..payment("p-far") };
        let steps = [p("p-1"), Request(far), p("p-1")];
        let (pipeline, events) = run(&settings, &steps);
        assert_eq!(said(&events), "REPLAYED REPLAY");
        let journal = &pipeline.authorize[0].journal;
        assert_eq!(said(&journal[2..3]), "INVALID CLOCK_SKEW");
        assert_eq!(pipeline.authorize[0].meta.now, noon(), "it did not move the clock");
    }
}

#[test]
fn the_event_clock_starts_with_the_first_request_whatever_came_before_it() {
    let settings = AuthorizeSettings { clock: event_clock(3_600), ..authorize_settings() };
    for before in [vec![], vec![Undecodable(reason::UNDECODABLE)]] {
        let steps: Vec<Step> = before.into_iter().chain([p("p-1")]).collect();
        let (pipeline, events) = run(&settings, &steps);
        assert_eq!(said(&events), "APPROVED forwarded");
        assert_eq!(pipeline.authorize[0].meta.now, noon());
    }
}

#[test]
fn settings_that_would_let_one_date_expire_keys_are_refused() {
    let one_day = AuthorizeSettings { key_retention_days: 1, ..authorize_settings() };
    let problem = settle_engine::authorize::AuthorizeConfig::new(one_day).expect_err("3 days of jump");
    assert!(problem.to_string().contains("clock.max_event_jump_seconds"), "{problem}");
}
