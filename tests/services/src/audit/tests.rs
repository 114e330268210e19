//! A hand-made world in which everything is right, and one tampering for each thing that can be wrong.

mod world;

use serde_json::json;

use super::*;
use world::{Content, World, seal, world};

#[test]
fn finds_nothing_where_everything_is_right_and_counts_it() {
    let verdict = judge(&world().read());
    assert!(verdict.violations.is_empty(), "{verdict}");
    let report = &verdict.report;
    assert_eq!((report.requests, report.unreadable_requests), (14, 1));
    let outcomes = [
        (Outcome::Approved, 7),
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
    let settled =
        [SettlementOutcome::Booked, SettlementOutcome::Refused, SettlementOutcome::Invalid].map(|outcome| report.settled(outcome));
    assert_eq!(settled, [8, 1, 1]);
    assert_eq!((report.batches_closed, report.reserves_released, report.payouts), (2, 1, 1));
    assert_eq!((report.results, report.dead_letters, report.ledger_transactions), (1, 5, 10));
    assert_eq!(report.paid_out_minor["EUR"], 7_945);
    let (debits, credits) = report.ledger_sums["EUR"];
    assert_eq!(debits, credits);
    let shown = verdict.to_string();
    assert!(shown.contains("7 Approved") && shown.contains("violations   0"), "{shown}");
}

#[test]
fn judges_one_stage_if_only_its_topics_were_read() {
    let mut read = world().read();
    read.topics.retain(|name, _| TOPICS_OF_AUTHORIZE.contains(&name.as_str()));
    let verdict = judge(&read);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!((verdict.report.forwarded, verdict.report.ledger_transactions), (9, 0));
}

type Tamper = fn(&mut World);

/// What is done to the world, the invariants that are then broken, and words of one of the findings.
const TAMPERINGS: &[(&str, Tamper, &[Invariant], &str)] = &[
    // I2
    ("a request without a decision", |world| { let garbage = Content::Raw(vec![1]); add(world, topic::REQUESTED, 0, garbage); }, &[Invariant::I2], "has no decision"),
    ("a decision on a request that does not exist", |world| { world.records(topic::REQUESTED, 1).pop(); }, &[Invariant::I2], "does not exist"),
    ("a request decided twice", |world| { again(world, topic::DECIDED, 0, 5); }, &[Invariant::I2, Invariant::I4, Invariant::I11, Invariant::Clock, Invariant::I8], "for the 2th time"),
    ("an approved record without a decision of SETTLE", |world| { add(world, topic::APPROVED, 1, Content::Raw(vec![1])); }, &[Invariant::I2], "has no decision"),
    ("an approved record settled twice", |world| { again(world, topic::SETTLEMENT_EVENTS, 1, 1); }, &[Invariant::I2, Invariant::I4, Invariant::I11, Invariant::Clock], "for the 2th time"),
    ("a refusal that AUTHORIZE did not take", |world| { world.records(topic::DECIDED, 1).pop(); }, &[Invariant::I2], "payments.results-1@0"),
    ("a decision on another topic", |world| { world.json(topic::DECIDED, 0, 1)["input"]["topic"] = json!("orders"); }, &[Invariant::I2, Invariant::Decision], "no input of AUTHORIZE"),
    // I3, I4, I11, clock, format
    ("an event in another partition than its input", |world| { world.json(topic::SETTLEMENT_EVENTS, 1, 1)["input"]["partition"] = json!(0); world.json(topic::SETTLEMENT_EVENTS, 1, 1)["input"]["offset"] = json!(7); }, &[Invariant::I2, Invariant::I3, Invariant::I7, Invariant::DeadLetter], "partition of the input is 0"),
    ("records consumed out of order", |world| { swap_bodies(world, topic::DECIDED, 1, 0, 1); }, &[Invariant::I4, Invariant::I7], "after offset 1"),
    ("a gap in the sequence", |world| { world.json(topic::DECIDED, 1, 4)["sequence"] = json!(5); }, &[Invariant::I11], "4 was expected"),
    ("a sequence that does not begin at 0", |world| { for index in 0..2 { world.json(topic::SETTLEMENT_EVENTS, 1, index)["sequence"] = json!(index + 1); } }, &[Invariant::I11], "0 was expected"),
    ("a clock that goes back", |world| { world.json(topic::SETTLEMENT_EVENTS, 1, 1)["now"] = json!(0); }, &[Invariant::Clock], "now is 0"),
    ("an event that cannot be read", |world| { world.records(topic::DECIDED, 0)[0].content = Content::Raw(vec![0, 0, 0, 0, 2, 9]); }, &[Invariant::Format, Invariant::I11], "payments.decided-0@0"),
    ("an event with parts of another kind", |world| { world.json(topic::DECIDED, 0, 0)["kind"] = json!("TICK"); }, &[Invariant::Format], "do not fit"),
    // The decision and its request
    ("a decision on another amount", |world| { world.json(topic::DECIDED, 0, 5)["decision"]["payment"]["amount_minor"] = json!(501); }, &[Invariant::Decision], "payment is"),
    ("a decision id of another position", |world| { world.json(topic::DECIDED, 0, 5)["decision"]["decision_id"] = json!("payments.requested-0-99"); }, &[Invariant::Decision], "decision_id"),
    ("garbage that was approved", |world| { world.json(topic::DECIDED, 0, 4)["decision"]["outcome"] = json!("DECLINED"); }, &[Invariant::Decision, Invariant::I8, Invariant::DeadLetter], "outcome is Declined"),
    ("an approval that does not go on", |world| { world.json(topic::DECIDED, 1, 1)["decision"]["forwarded"] = json!(false); }, &[Invariant::Decision, Invariant::I7], "forwarded = false"),
    ("a decline without a reason", |world| { world.json(topic::DECIDED, 0, 5)["decision"]["reasons"] = json!([]); }, &[Invariant::Decision], "without a reason"),
    // I8
    ("a key approved twice", |world| { approve_retry(world); }, &[Invariant::I8, Invariant::I7], "used the key"),
    ("a payment id taken twice", |world| { let event = world.json(topic::DECIDED, 0, 8); event["decision"]["outcome"] = json!("DECLINED"); event["decision"]["first"] = json!(null); event["decision"]["key_expires_at"] = json!(i64::MAX); }, &[Invariant::I8, Invariant::DeadLetter], "used the payment id"),
    ("a retry that is told another id", |world| { world.json(topic::DECIDED, 0, 2)["decision"]["first"]["decision_id"] = json!("payments.requested-0-5"); }, &[Invariant::I8], "first decision"),
    ("a retry that is told another outcome", |world| { world.json(topic::DECIDED, 0, 2)["decision"]["first"]["outcome"] = json!("DECLINED"); }, &[Invariant::I8], "first decision"),
    ("a retry with other content", |world| { for (topic, offset) in [(topic::REQUESTED, 1), (topic::DECIDED, 2)] { tamper_amount(world, topic, offset); } }, &[Invariant::I8], "other content"),
    ("a conflict with the same content", |world| { world.json(topic::REQUESTED, 0, 2)["amount_minor"] = json!(10_000); world.json(topic::DECIDED, 0, 3)["decision"]["payment"]["amount_minor"] = json!(10_000); }, &[Invariant::I8, Invariant::DeadLetter], "the same content"),
    ("a retry of a key that has expired", |world| { let now = world.json(topic::DECIDED, 0, 1)["now"].as_i64().unwrap(); world.json(topic::DECIDED, 0, 1)["decision"]["key_expires_at"] = json!(now + 1); }, &[Invariant::I8], "first decision"),
    ("an approval that uses no key", |world| { world.json(topic::DECIDED, 1, 1)["decision"]["key_expires_at"] = json!(null); }, &[Invariant::I8, Invariant::Transition], "key used until None"),
    ("a payment booked twice", |world| { world.json(topic::APPROVED, 0, 5)["payment_id"] = json!("p-1"); world.json(topic::SETTLEMENT_EVENTS, 0, 6)["decision"]["approved"]["payment_id"] = json!("p-1"); }, &[Invariant::I7, Invariant::I8], "booked a second time"),
    // Transitions
    ("a transition from another outcome", |world| { world.json(topic::DECIDED, 0, 11)["transition"]["from"] = json!("DECLINED"); }, &[Invariant::Transition], "from is Declined"),
    ("a transition of an unknown decision", |world| { world.json(topic::DECIDED, 0, 11)["transition"]["decision_id"] = json!("payments.requested-0-77"); }, &[Invariant::Transition], "not decided before"),
    ("a refusal that goes on again", |world| { world.json(topic::DECIDED, 1, 5)["transition"]["forwarded"] = json!(true); }, &[Invariant::Transition, Invariant::I7], "second time"),
    // I7: from AUTHORIZE to SETTLE
    ("a forwarded decision that never arrived", |world| { world.records(topic::APPROVED, 0).pop(); }, &[Invariant::I2, Invariant::I7], "is not in payments.approved"),
    ("an approved record without a decision of AUTHORIZE", |world| { world.json(topic::APPROVED, 0, 7)["decision_id"] = json!("payments.requested-1-9"); }, &[Invariant::I7], "sent it on"),
    ("an approved record that stands twice", |world| { again(world, topic::APPROVED, 0, 7); }, &[Invariant::I2, Invariant::I7], "stands here again"),
    ("an approved record with another amount", |world| { world.json(topic::APPROVED, 0, 7)["amount_minor"] = json!(1); }, &[Invariant::I7], "record is"),
    ("a merchant in two partitions", |world| { let record = world.records(topic::APPROVED, 0).pop().unwrap(); let records = world.records(topic::APPROVED, 1); records.push(record); records[2].offset = 2; }, &[Invariant::I2, Invariant::I7], "partition of the merchant"),
    ("a key that is not the merchant", |world| { world.records(topic::APPROVED, 0)[0].key = Some("d-1".to_owned()); }, &[Invariant::I7], "not the merchant"),
    ("a refund of more than was paid", |world| { everywhere_amount(world, 6, 6, 1, 2, 10_001); }, &[Invariant::I7, Invariant::Batch, Invariant::I9, Invariant::Posting], "given back"),
    ("a follow-up of what was not booked", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 2)["decision"]["approved"]["original_payment_id"] = json!("p-9"); }, &[Invariant::I7], "not booked"),
    // The ledger
    ("an entry that was changed", |world| { world.json(topic::LEDGER_TRANSACTIONS, 0, 3)["entries"][0]["amount_minor"] = json!(701); }, &[Invariant::I6, Invariant::I9, Invariant::Posting], "debits of 721, credits of 720"),
    ("an entry of zero", |world| { let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 6); transaction["entries"][0]["amount_minor"] = json!(0); transaction["entries"][1]["amount_minor"] = json!(0); }, &[Invariant::I6, Invariant::I9, Invariant::Posting], "an entry of 0"),
    ("a change with a new hash", |world| { let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 3); transaction["batch_id"] = json!("m-1:EUR:2026-03-01"); seal(transaction); }, &[Invariant::I9, Invariant::Posting], "prev_hash"),
    ("a change of the last transaction with a new hash", |world| { let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 9); transaction["batch_id"] = json!("m-1:EUR:2026-03-01"); seal(transaction); }, &[Invariant::Posting], "transaction is"),
    ("a transaction that is missing", |world| { world.records(topic::LEDGER_TRANSACTIONS, 0).remove(4); }, &[Invariant::I9, Invariant::Posting], "is not in the ledger"),
    ("a transaction that is missing at the end", |world| { world.records(topic::LEDGER_TRANSACTIONS, 0).pop(); }, &[Invariant::Posting], "is not in the ledger"),
    ("a transaction that stands twice", |world| { again(world, topic::LEDGER_TRANSACTIONS, 0, 9); }, &[Invariant::I9, Invariant::Posting], "stands here again"),
    ("a posting to another account", |world| { repost(world, |entries| entries[1]["account"] = json!("merchant:m-9:payable")); }, &[Invariant::I9, Invariant::Posting], "entries is"),
    ("a posting of another kind", |world| { let event = world.json(topic::SETTLEMENT_EVENTS, 0, 1); event["ledger"]["posting"] = json!("REFUND"); }, &[Invariant::Posting], "posting and batch"),
    ("a booking that posts nothing", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 8)["ledger"] = json!(null); }, &[Invariant::Posting], "posts nothing"),
    ("a fee given back with a sale", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 1)["decision"]["booking"]["fee_minor"] = json!(-315); }, &[Invariant::Posting, Invariant::Batch], "with a fee of -315"),
    // Batches
    ("a batch that closes twice", |world| { let event = world.json(topic::SETTLEMENT_EVENTS, 0, 11).clone(); add_event(world, event); }, &[Invariant::Batch], "is closed"),
    ("a batch that opens twice", |world| { let opened = world.json(topic::SETTLEMENT_EVENTS, 0, 1)["batch_opened"].clone(); world.json(topic::SETTLEMENT_EVENTS, 0, 3)["batch_opened"] = opened; }, &[Invariant::Batch], "a second time"),
    ("a booking into a closed batch", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 1)["batch_opened"]["batch_id"] = json!("m-1:EUR:2026-03-01"); }, &[Invariant::Batch], "was never opened"),
    ("totals that do not add up", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 9)["batch_closed"]["totals"]["sales_minor"] = json!(13_001); }, &[Invariant::Batch], "totals is"),
    ("a payout above what is owed", |world| { for (topic, path) in [(topic::SETTLEMENT_EVENTS, 9), (topic::PAYOUTS, 0)] { raise_payout(world, topic, path); } }, &[Invariant::Batch, Invariant::Posting], "reserve + payout + carried"),
    ("a carried amount that is lost", |world| { world.json(topic::SETTLEMENT_EVENTS, 0, 10)["batch_opened"]["carried_in_minor"] = json!(5); }, &[Invariant::Batch], "carried_in_minor is 5"),
    ("a reserve released twice", |world| { let event = world.json(topic::SETTLEMENT_EVENTS, 0, 10).clone(); world.json(topic::SETTLEMENT_EVENTS, 0, 11)["batch_closed"] = json!(null); let last = world.json(topic::SETTLEMENT_EVENTS, 0, 11); last["reserve_released"] = event["reserve_released"].clone(); }, &[Invariant::Batch, Invariant::Posting], "still kept"),
    // Payouts, results, dead letters
    ("a payout that is missing", |world| { world.records(topic::PAYOUTS, 0).pop(); }, &[Invariant::Payout], "is not in settlement.payouts"),
    ("a payout that stands twice", |world| { again(world, topic::PAYOUTS, 0, 0); }, &[Invariant::Payout], "stands here again"),
    ("a payout of another amount", |world| { world.json(topic::PAYOUTS, 0, 0)["amount_minor"] = json!(7_946); }, &[Invariant::Payout], "payout is"),
    ("a refusal without a result", |world| { world.records(topic::RESULTS, 1).pop(); }, &[Invariant::I2, Invariant::Result], "is not in payments.results"),
    ("a result that stands twice", |world| { again(world, topic::RESULTS, 1, 0); }, &[Invariant::I2, Invariant::Result], "stands here again"),
    ("a result of another amount", |world| { world.json(topic::RESULTS, 1, 0)["approved"]["amount_minor"] = json!(1); }, &[Invariant::Result], "result is"),
    ("a dead letter that is missing", |world| { world.records(topic::DEAD_LETTER, 1).pop(); }, &[Invariant::DeadLetter], "has no dead letter"),
    ("a dead letter that stands twice", |world| { again(world, topic::DEAD_LETTER, 0, 1); }, &[Invariant::DeadLetter], "the 2th of"),
    ("a dead letter of what was taken", |world| { world.records(topic::DEAD_LETTER, 0)[0].headers[2].1 = "0".to_owned(); }, &[Invariant::DeadLetter], "was taken"),
    ("a dead letter with another code", |world| { world.records(topic::DEAD_LETTER, 0)[0].headers[3].1 = "OTHER".to_owned(); }, &[Invariant::DeadLetter], "code is"),
    ("a dead letter with other bytes", |world| { world.records(topic::DEAD_LETTER, 0)[0].content = Content::Raw(vec![1]); }, &[Invariant::DeadLetter], "other bytes"),
    ("a dead letter without a source", |world| { world.records(topic::DEAD_LETTER, 0)[0].headers.clear(); }, &[Invariant::DeadLetter], "where it came from"),
    ("a masked dead letter without the hash", |world| { mask(world, "0"); }, &[Invariant::DeadLetter], "hash of the original"),
];

#[test]
fn finds_every_tampering_and_nothing_else() {
    for (name, tamper, invariants, words) in TAMPERINGS {
        let mut world = world();
        tamper(&mut world);
        let verdict = judge(&world.read());
        let mut found: Vec<Invariant> = verdict.violations.iter().map(|violation| violation.invariant).collect();
        found.dedup();
        let mut expected = invariants.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{name}: {verdict}");
        let has_words = verdict.violations.iter().any(|violation| violation.to_string().contains(words));
        assert!(has_words, "{name}: {words:?} is not among {verdict}");
    }
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
    assert_eq!((violations[0].invariant, violations[0].place.as_str()), (Invariant::Format, "payments.decided-0"));
}

fn add(world: &mut World, topic: &'static str, partition: i32, content: Content) {
    let records = world.records(topic, partition);
    let mut record = records.last().unwrap().clone();
    record.offset += 1;
    record.content = content;
    records.push(record);
}

/// Writes a record once more at the end of its partition.
fn again(world: &mut World, topic: &'static str, partition: i32, index: usize) {
    let record = world.records(topic, partition)[index].clone();
    add(world, topic, partition, record.content);
    let headers = record.headers;
    world.records(topic, partition).last_mut().unwrap().headers = headers;
}

/// Adds an event to the journal of SETTLE, with the next sequence and the clock of the last.
fn add_event(world: &mut World, mut event: serde_json::Value) {
    let count = world.records(topic::SETTLEMENT_EVENTS, 0).len();
    let now = world.json(topic::SETTLEMENT_EVENTS, 0, count - 1)["now"].clone();
    event["sequence"] = json!(count);
    event["now"] = now;
    add(world, topic::SETTLEMENT_EVENTS, 0, Content::Json(event));
}

/// Exchanges what two events are about, not their numbers and times.
fn swap_bodies(world: &mut World, topic: &'static str, partition: i32, left: usize, right: usize) {
    let mut bodies = [left, right].map(|index| world.json(topic, partition, index).clone());
    let [first, second] = &mut bodies;
    for field in ["sequence", "now"] {
        let kept = first[field].clone();
        first[field] = second[field].clone();
        second[field] = kept;
    }
    let [first, second] = bodies;
    *world.json(topic, partition, left) = second;
    *world.json(topic, partition, right) = first;
}

fn approve_retry(world: &mut World) {
    let key_expires_at = world.json(topic::DECIDED, 0, 1)["decision"]["key_expires_at"].clone();
    let decision = &mut world.json(topic::DECIDED, 0, 2)["decision"];
    decision["outcome"] = json!("APPROVED");
    decision["first"] = json!(null);
    decision["forwarded"] = json!(true);
    decision["key_expires_at"] = key_expires_at;
}

fn tamper_amount(world: &mut World, topic: &'static str, offset: usize) {
    let value = world.json(topic, 0, offset);
    let payment = if topic == topic::DECIDED { &mut value["decision"]["payment"] } else { value };
    payment["amount_minor"] = json!(10_001);
}

/// Changes an amount of partition 0 in every topic that carries it, and leaves the ledger's hashes.
fn everywhere_amount(world: &mut World, request: usize, decided: usize, approved: usize, settled: usize, amount: i64) {
    world.json(topic::REQUESTED, 0, request)["amount_minor"] = json!(amount);
    world.json(topic::DECIDED, 0, decided + 1)["decision"]["payment"]["amount_minor"] = json!(amount);
    world.json(topic::APPROVED, 0, approved)["amount_minor"] = json!(amount);
    world.json(topic::SETTLEMENT_EVENTS, 0, settled)["decision"]["approved"]["amount_minor"] = json!(amount);
    for index in 0..2 {
        world.json(topic::LEDGER_TRANSACTIONS, 0, settled - 1)["entries"][index]["amount_minor"] = json!(amount);
    }
}

/// Changes the entries of the first sale in event and ledger alike, with its old hash.
fn repost(world: &mut World, change: fn(&mut serde_json::Value)) {
    change(&mut world.json(topic::SETTLEMENT_EVENTS, 0, 1)["ledger"]["entries"]);
    change(&mut world.json(topic::LEDGER_TRANSACTIONS, 0, 0)["entries"]);
}

fn raise_payout(world: &mut World, topic: &'static str, index: usize) {
    let value = world.json(topic, 0, index);
    let payout = if topic == topic::PAYOUTS { value } else { &mut value["batch_closed"]["payout"] };
    payout["amount_minor"] = json!(7_946);
}

/// Masks the dead letter of the request that cannot be read.
fn mask(world: &mut World, hash: &str) {
    let letter = &mut world.records(topic::DEAD_LETTER, 0)[1];
    letter.content = Content::Raw(b"** ******".to_vec());
    letter.headers.push(("settle.masked".to_owned(), "true".to_owned()));
    letter.headers.push(("settle.original.blake3".to_owned(), hash.to_owned()));
}
