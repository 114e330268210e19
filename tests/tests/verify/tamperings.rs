//! One row for each way to change each output topic: the finding names the place.

use bytes::Bytes;
use settle_log::Record;
use settle_schema::AvroRecord;
use settle_tests::topics::{header, value};
use settle_tests::{Settle, Topics};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};
use settle_types::{Minor, topic};

use super::{audit, honest};

/// What is done to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tampering {
    ByteFlipped,
    Removed,
    Doubled,
    Swapped,
    AmountChanged,
}

const TAMPERINGS: [Tampering; 5] = [
    Tampering::ByteFlipped,
    Tampering::Removed,
    Tampering::Doubled,
    Tampering::Swapped,
    Tampering::AmountChanged,
];

const OUTPUTS: [&str; 7] = [
    topic::DECIDED,
    topic::APPROVED,
    topic::DEAD_LETTER,
    topic::RESULTS,
    topic::SETTLEMENT_EVENTS,
    topic::LEDGER_TRANSACTIONS,
    topic::PAYOUTS,
];

/// Changes a value that is a record of this type, and encodes it again.
fn changed<T: AvroRecord>(record: &Record, change: impl FnOnce(&mut T) -> Option<()>) -> Option<Bytes> {
    let mut decoded: T = settle_schema::decode(record.value.as_deref()?).ok()?;
    change(&mut decoded)?;
    let mut encoded = Vec::new();
    settle_schema::encode(&decoded, &mut encoded);
    Some(encoded.into())
}

fn more(amount: &mut Minor) -> Option<()> {
    *amount = amount.plus(Minor::new(1)).ok()?;
    Some(())
}

/// The value with one amount changed; none if the record has no amount.
fn amount_changed(record: &Record) -> Option<Bytes> {
    match &*record.topic {
        topic::DECIDED => changed::<DecisionEvent>(record, |event| {
            more(&mut event.decision.as_mut()?.payment.as_mut()?.amount_minor)
        }),
        topic::APPROVED => changed::<PaymentApproved>(record, |approved| more(&mut approved.amount_minor)),
        topic::RESULTS => changed::<PaymentResult>(record, |result| more(&mut result.approved.amount_minor)),
        topic::DEAD_LETTER => changed::<PaymentRequested>(record, |request| {
            request.amount_minor += 1;
            Some(())
        }),
        topic::SETTLEMENT_EVENTS => changed::<SettlementEvent>(record, |event| {
            more(&mut event.decision.as_mut()?.approved.as_mut()?.amount_minor)
        }),
        topic::LEDGER_TRANSACTIONS => changed::<LedgerTransaction>(record, |transaction| {
            transaction.entries.iter_mut().try_for_each(|entry| more(&mut entry.amount_minor))
        }),
        topic::PAYOUTS => changed::<Payout>(record, |payout| more(&mut payout.amount_minor)),
        other => panic!("{other} has no amounts"),
    }
}

/// What tells of which journal partition a record is: records of several of them interleave as they like.
fn origin(record: &Record) -> String {
    match &*record.topic {
        topic::APPROVED => {
            let id = value::<PaymentApproved>(record).decision_id.to_string();
            id.rsplit('-').nth(1).expect("a decision id has a partition").to_owned()
        }
        topic::RESULTS => {
            let merchant = value::<PaymentResult>(record).approved.merchant_id;
            settle_log::partition_for_key(merchant.as_str().as_bytes(), 3).to_string()
        }
        topic::DEAD_LETTER => header(record, "settle.source.topic"),
        _ => String::new(),
    }
}

/// The partition and offset of a record in the middle that has neighbours of its own origin, and an amount.
fn victim(topics: &Topics, name: &str) -> (u32, usize) {
    let mut found = Vec::new();
    for (partition, records) in topics.of(name) {
        for index in 1..records.len().saturating_sub(1) {
            let around = &records[index - 1..=index + 1];
            let is_alike = around.iter().all(|record| origin(record) == origin(&records[index]));
            let is_different = around.windows(2).all(|pair| pair[0].value != pair[1].value);
            if is_alike && is_different && amount_changed(&records[index]).is_some() {
                found.push((partition, index));
            }
        }
    }
    assert!(!found.is_empty(), "{name} has no record to tamper with: {}", topics.count(name));
    found[found.len() / 2]
}

/// Does it; returns the offset at which the log is not as it was from then on.
fn tamper(records: &mut Vec<Record>, index: usize, tampering: Tampering) -> usize {
    match tampering {
        Tampering::ByteFlipped => {
            let mut bytes = records[index].value.as_deref().expect("a value").to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            records[index].value = Some(bytes.into());
            index
        }
        Tampering::Removed => {
            records.remove(index);
            index
        }
        Tampering::Doubled => {
            records.insert(index, records[index].clone());
            index + 1
        }
        Tampering::Swapped => {
            records.swap(index, index + 1);
            index
        }
        Tampering::AmountChanged => {
            records[index].value = amount_changed(&records[index]);
            index
        }
    }
}

#[test]
fn every_way_to_change_every_output_topic_is_found_where_it_was_done() {
    let mut wrong = Vec::new();
    for name in OUTPUTS {
        let (partition, index) = victim(honest(), name);
        for tampering in TAMPERINGS {
            let mut topics = honest().clone();
            let offset = tamper(topics.partition_mut(name, partition), index, tampering);
            let report = audit(&topics);
            let expected = format!("{name}/{partition}@{offset}");
            let Some(first) = &report.first else {
                wrong.push(format!("{tampering:?} at {expected}: nothing was found"));
                continue;
            };
            if first.place.to_string() != expected {
                let first = serde_json::to_string(first).expect("plain values become JSON");
                wrong.push(format!("{tampering:?} at {expected}: {first}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// Any byte of key, value or headers, and the time.
#[test]
fn whichever_byte_of_a_record_is_flipped_is_found() {
    let mut wrong = Vec::new();
    for name in OUTPUTS {
        let (partition, index) = victim(honest(), name);
        let length =
            honest().clone().partition_mut(name, partition)[index].value.as_deref().map_or(0, <[u8]>::len);
        let step = (length / 24).max(1);
        for byte in (0..length).step_by(step) {
            let mut topics = honest().clone();
            let record = &mut topics.partition_mut(name, partition)[index];
            let mut bytes = record.value.as_deref().expect("a value").to_vec();
            bytes[byte] ^= 1 << (byte % 8);
            record.value = Some(bytes.into());
            check(
                &topics,
                &format!("{name}/{partition}@{index}"),
                &format!("byte {byte} of the value"),
                &mut wrong,
            );
        }
        let mut topics = honest().clone();
        let record = &mut topics.partition_mut(name, partition)[index];
        record.key = Some(b"another".to_vec().into());
        check(&topics, &format!("{name}/{partition}@{index}"), "the key", &mut wrong);
        let mut topics = honest().clone();
        topics.partition_mut(name, partition)[index].timestamp_ms += 1;
        check(&topics, &format!("{name}/{partition}@{index}"), "the time", &mut wrong);
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(topics: &Topics, expected: &str, what: &str, wrong: &mut Vec<String>) {
    let report = audit(topics);
    match &report.first {
        Some(first) if first.place.to_string() == expected => {}
        // What another version decided cannot be decided again: the report says so, and where.
        None if report.not_checked.iter().any(|skipped| skipped.first.to_string() == expected) => {}
        other => wrong.push(format!("{what} at {expected}: {other:?}")),
    }
}

/// Through the binary: the exit code, both sides, and the words for people.
#[test]
fn the_command_shows_both_sides_and_exits_with_3() {
    let (partition, index) = victim(honest(), topic::PAYOUTS);
    let mut topics = honest().clone();
    let honest_amount =
        value::<Payout>(&topics.partition_mut(topic::PAYOUTS, partition)[index]).amount_minor.get();
    tamper(topics.partition_mut(topic::PAYOUTS, partition), index, Tampering::AmountChanged);
    let folder = tempfile::tempdir().expect("a temporary folder");
    topics.write(folder.path());
    let settle = Settle::new(folder.path());
    let ended = settle.run(&["verify", "--format", "json"]).expect_code(3);
    let [report] = &ended.json_lines()[..] else { panic!("one object was expected: {}", ended.stdout) };
    assert_eq!(report["verdict"], "DIFFERENCES");
    let first = &report["first"];
    assert_eq!(first["code"], "STL-0710");
    assert_eq!((&first["topic"], &first["partition"]), (&topic::PAYOUTS.into(), &partition.into()));
    assert_eq!(first["offset"], index);
    assert_eq!(first["expected"]["value"]["amount_minor"], honest_amount);
    assert_eq!(first["found"]["value"]["amount_minor"], honest_amount + 1);
    let ended = settle.run(&["verify"]).expect_code(3);
    for part in [&format!("settlement.payouts/{partition}@{index}"), "STL-0710", "expected:", "found:"] {
        assert!(ended.stdout.contains(part), "{part} was expected in\n{}", ended.stdout);
    }
}
