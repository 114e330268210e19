//! A hand-made world in which everything is right, and one tampering for each thing that can be wrong.

mod tamperings;
pub(super) mod world;

use super::*;
use tamperings::mask;
use world::world;

#[test]
fn finds_nothing_where_everything_is_right_and_counts_it() {
    let verdict = judge(&world().read());
    assert!(verdict.violations.is_empty(), "{verdict}");
    let report = &verdict.report;
    assert_eq!((report.requests, report.unreadable_requests), (14, 1));
    let outcomes = [
        (Outcome::Approved, 8),
        (Outcome::Declined, 1),
        (Outcome::Scheduled, 1),
        (Outcome::Replayed, 1),
        (Outcome::Conflict, 2),
        (Outcome::Invalid, 1),
    ];
    for (outcome, count) in outcomes {
        assert_eq!(report.decided(outcome), count, "{outcome:?}");
    }
    assert_eq!((report.transitions, report.forwarded), (3, 9));
    let settled = [SettlementOutcome::Booked, SettlementOutcome::Refused, SettlementOutcome::Invalid]
        .map(|outcome| report.settled(outcome));
    assert_eq!(settled, [8, 1, 1]);
    assert_eq!((report.batches_closed, report.reserves_released, report.payouts), (2, 1, 1));
    assert_eq!((report.results, report.dead_letters, report.ledger_transactions), (1, 5, 10));
    assert_eq!(report.paid_out_minor["EUR"], 7_945);
    let (debits, credits) = report.ledger_sums["EUR"];
    assert_eq!(debits, credits);
    let shown = verdict.to_string();
    assert!(shown.contains("8 Approved") && shown.contains("violations   0"), "{shown}");
}

#[test]
fn judges_one_stage_if_only_its_topics_were_read() {
    let mut read = world().read();
    read.topics.retain(|name, _| TOPICS_OF_AUTHORIZE.contains(&name.as_str()));
    let verdict = judge(&read);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!((verdict.report.forwarded, verdict.report.ledger_transactions), (9, 0));
}

#[test]
fn finds_every_tampering_and_nothing_else() {
    let mut failures = Vec::new();
    for (name, tamper, invariants, words) in tamperings::all() {
        let mut world = world();
        tamper(&mut world);
        let verdict = judge(&world.read());
        let mut found: Vec<Invariant> =
            verdict.violations.iter().map(|violation| violation.invariant).collect();
        found.dedup();
        let mut expected = invariants.to_vec();
        expected.sort();
        let has_words = verdict.violations.iter().any(|violation| violation.to_string().contains(words));
        if found != expected || !has_words {
            failures.push(format!("{name}: {expected:?} and {words:?} were expected, found {verdict}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_masked_dead_letter_with_the_hash_of_its_original_is_right() {
    let mut world = world();
    mask(&mut world, &blake3::hash(b"no record").to_hex());
    assert_eq!(check(&world.read()), []);
}

#[test]
fn a_journal_that_lost_its_beginning_is_not_judged_as_whole() {
    let mut read = world().read();
    read.topics.get_mut(topic::DECIDED).unwrap().get_mut(&0).unwrap().start = 3;
    let violations = check(&read);
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].invariant, violations[0].place.as_str()),
        (Invariant::Format, "payments.decided-0")
    );
}
