//! One tampering for each thing that can be wrong, and the hands that do it.

mod authorize;
mod settle;

use serde_json::{Value, json};

use super::super::{Invariant, topic};
use super::world::{Content, World};

/// Its name, what is done to the world, the invariants that are then broken, and words of one of the findings.
pub(super) type Tampering = (&'static str, fn(&mut World), &'static [Invariant], &'static str);

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Tampering> {
    authorize::TAMPERINGS.iter().chain(settle::TAMPERINGS)
}

/// Changes one field of a value, by its path.
fn set(world: &mut World, topic: &'static str, partition: i32, index: usize, path: &str, value: Value) {
    *world.json(topic, partition, index).pointer_mut(path).unwrap() = value;
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
fn add_event(world: &mut World, mut event: Value) {
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
fn everywhere_amount(
    world: &mut World,
    request: usize,
    decided: usize,
    approved: usize,
    settled: usize,
    amount: i64,
) {
    world.json(topic::REQUESTED, 0, request)["amount_minor"] = json!(amount);
    world.json(topic::DECIDED, 0, decided + 1)["decision"]["payment"]["amount_minor"] = json!(amount);
    world.json(topic::APPROVED, 0, approved)["amount_minor"] = json!(amount);
    world.json(topic::SETTLEMENT_EVENTS, 0, settled)["decision"]["approved"]["amount_minor"] = json!(amount);
    for index in 0..2 {
        world.json(topic::LEDGER_TRANSACTIONS, 0, settled - 1)["entries"][index]["amount_minor"] =
            json!(amount);
    }
}

/// Changes the entries of the first sale in event and ledger alike, with its old hash.
fn repost(world: &mut World, change: fn(&mut Value)) {
    change(&mut world.json(topic::SETTLEMENT_EVENTS, 0, 1)["ledger"]["entries"]);
    change(&mut world.json(topic::LEDGER_TRANSACTIONS, 0, 0)["entries"]);
}

fn raise_payout(world: &mut World, topic: &'static str, index: usize) {
    let value = world.json(topic, 0, index);
    let payout = if topic == topic::PAYOUTS { value } else { &mut value["batch_closed"]["payout"] };
    payout["amount_minor"] = json!(7_946);
}

/// Masks the dead letter of the request that cannot be read.
pub(super) fn mask(world: &mut World, hash: &str) {
    let letter = &mut world.records(topic::DEAD_LETTER, 0)[1];
    letter.content = Content::Raw(b"** ******".to_vec());
    letter.headers.push(("settle.masked".to_owned(), "true".to_owned()));
    letter.headers.push(("settle.original.blake3".to_owned(), hash.to_owned()));
}
