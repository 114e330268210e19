//! Requests in the wrong partition that are sent to their right one: what the copy is like, what the decision says, and
//! what stays as it was.

mod support;

use settle_engine::authorize::AuthorizeSettings;
use settle_engine::{Output, Payload, Placement};
use settle_types::authorize::{DecisionEvent, Outcome};
use settle_types::request::PaymentRequested;
use settle_types::{Duration, reason, topic};
use support::build::*;
use support::pipeline::{Pipeline, encoded, spread};

const PARTITIONS: usize = 3;

fn pipeline(settings: &AuthorizeSettings) -> Pipeline {
    let settle = settle_settings(&[]);
    Pipeline::with(settings, &settle, noon(), PARTITIONS, spread, Default::default())
}

fn right_partition(request: &PaymentRequested) -> usize {
    spread(request.debtor_account.as_str().as_bytes(), PARTITIONS)
}

fn wrong_partition(request: &PaymentRequested) -> usize {
    (right_partition(request) + 1) % PARTITIONS
}

/// The only event and the only output of sending a request to the wrong partition.
fn sent_on(pipeline: &mut Pipeline, request: &PaymentRequested) -> (DecisionEvent, Output) {
    let wrong = wrong_partition(request);
    let before = pipeline.authorize[wrong].outputs.len();
    let mut events = pipeline.misplaced(request);
    assert_eq!(events.len(), 1);
    let outputs = &pipeline.authorize[wrong].outputs[before..];
    let [output] = outputs else { panic!("one output was expected: {outputs:?}") };
    (events.remove(0), output.clone())
}

#[test]
fn the_copy_has_the_bytes_of_its_source_and_the_key_of_its_right_partition() {
    let mut pipeline = pipeline(&rerouting());
    let request = payment("p-1");
    pipeline.request(&PaymentRequested { debtor_account: "d-2".into(), ..payment("p-0") });
    let (event, output) = sent_on(&mut pipeline, &request);
    assert_eq!((output.topic, output.placement), (topic::REROUTED, Placement::ByKey));
    assert_eq!(output.key.as_deref(), Some(b"d-1".as_slice()), "the source had another key");
    let Payload::Rerouted { value, headers } = &output.payload else { panic!("a copy: {output:?}") };
    assert_eq!(value.as_deref(), Some(encoded(&request).as_slice()));
    let input = event.input.expect("a decision names its record");
    assert_eq!(usize::try_from(input.partition), Ok(wrong_partition(&request)));
    let expected = [
        ("settle.source.topic", "payments.requested".to_owned()),
        ("settle.source.partition", input.partition.to_string()),
        ("settle.source.offset", input.offset.to_string()),
    ];
    assert_eq!(*headers, expected);
}

#[test]
fn the_decision_knows_the_request_and_decides_nothing_about_it() {
    let mut pipeline = pipeline(&rerouting());
    let request = payment("p-1");
    let wrong = wrong_partition(&request);
    let rows_before = pipeline.authorize[wrong].state();
    let (event, _) = sent_on(&mut pipeline, &request);
    let decision = event.decision.expect("a decision");
    assert_eq!(decision.outcome, Outcome::Rerouted);
    let [why] = decision.reasons.as_slice() else { panic!("one reason: {:?}", decision.reasons) };
    assert_eq!(why.code, reason::WRONG_PARTITION);
    assert!(why.detail.contains(&format!("in partition {wrong}")), "{}", why.detail);
    assert!(why.detail.contains("murmur2"), "{}", why.detail);
    assert_eq!((decision.key_expires_at, decision.forwarded, decision.first), (None, false, None));
    assert_eq!(pipeline.authorize[wrong].state(), rows_before, "no key, no payment, no limit");
    assert_eq!(pipeline.authorize[wrong].journal_keys.last(), Some(&Some(b"d-1".to_vec())));
    assert_eq!(pipeline.authorize[wrong].meta.position(topic::REQUESTED), 1, "it is decided once");

    let decided = pipeline.rerouted_one().expect("it is on its way").remove(0);
    let input = decided.input.expect("a decision names its record");
    assert_eq!(&*input.topic, topic::REROUTED);
    assert_eq!(usize::try_from(input.partition), Ok(right_partition(&request)), "I3");
    let first = decided.decision.expect("a decision");
    assert_eq!(first.outcome, Outcome::Approved);
    assert_eq!((first.payment, first.fingerprint), (decision.payment, decision.fingerprint));
    assert_ne!(first.decision_id, decision.decision_id);
    assert_eq!(pipeline.waiting_rerouted(), 0);
}

#[test]
fn a_request_sent_rightly_and_wrongly_is_decided_once_in_either_order() {
    for is_right_first in [true, false] {
        let mut pipeline = pipeline(&rerouting());
        let request = payment("p-1");
        if is_right_first {
            pipeline.request(&request);
        }
        pipeline.misplaced(&request);
        pipeline.rerouted_one();
        if !is_right_first {
            pipeline.request(&request);
        }
        let journals = pipeline.authorize.iter().flat_map(|harness| &harness.journal);
        let mut outcomes: Vec<_> =
            journals.filter_map(|event| event.decision.as_ref()).map(|decision| decision.outcome).collect();
        outcomes.sort();
        let expected = [Outcome::Approved, Outcome::Replayed, Outcome::Rerouted];
        assert_eq!(outcomes, expected, "right first: {is_right_first}");
        assert_eq!(pipeline.in_flight().count(), 1);
    }
}

#[test]
fn the_clock_of_the_wrong_partition_does_not_move() {
    let settings = AuthorizeSettings { clock: event_clock(86_400), ..rerouting() };
    let mut pipeline = pipeline(&settings);
    pipeline.set_wall(at(3_000, 0, 0));
    let own = PaymentRequested { debtor_account: "d-2".into(), ..payment("p-0") };
    let other = PaymentRequested {
        requested_at: noon().saturating_add(Duration::from_seconds(3_600)),
        ..payment("p-1")
    };
    assert_eq!(wrong_partition(&other), right_partition(&own), "the test sends both to one partition");
    pipeline.request(&own);
    let (event, _) = sent_on(&mut pipeline, &other);
    assert_eq!(event.now, noon(), "the time of what does not belong here");
    let decided = pipeline.rerouted_one().expect("it is on its way").remove(0);
    assert_eq!(decided.now, other.requested_at);
}

#[test]
fn a_record_that_somebody_else_put_wrongly_is_a_dead_letter() {
    let mut pipeline = pipeline(&rerouting());
    let request = payment("p-1");
    let (wrong, right) = (wrong_partition(&request), right_partition(&request));
    pipeline.write_rerouted(wrong, &request, i32::try_from(right).expect("few partitions"));
    let decision = pipeline.rerouted_one().expect("it was written").remove(0).decision.expect("a decision");
    assert_eq!(decision.outcome, Outcome::Invalid);
    assert_eq!(decision.reasons[0].code, reason::WRONG_PARTITION);
    assert_eq!(pipeline.waiting_rerouted(), 0, "it does not go round");
    let [output] = pipeline.authorize[wrong].outputs.as_slice() else { panic!("one output") };
    let Payload::DeadLetter { headers, .. } = &output.payload else { panic!("a dead letter: {output:?}") };
    assert!(headers.contains(&("settle.source.topic", topic::REROUTED.to_owned())), "{headers:?}");
}
