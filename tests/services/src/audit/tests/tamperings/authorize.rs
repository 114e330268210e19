//! What can be wrong in the journals, and between requests and `payments.approved`.

use serde_json::json;

use super::super::super::Invariant::{
    Batch, Clock, DeadLetter, Decision, Format, I2, I3, I4, I7, I8, I9, I11, Posting, Transition,
};
use super::super::super::topic;
use super::super::world::Content;
use super::{Tampering, add, again, approve_retry, everywhere_amount, set, swap_bodies, tamper_amount};

pub(super) const TAMPERINGS: &[Tampering] = &[
    // I2
    (
        "a request without a decision",
        |world| {
            let garbage = Content::Raw(vec![1]);
            add(world, topic::REQUESTED, 0, garbage);
        },
        &[I2],
        "has no decision",
    ),
    (
        "a decision on a request that does not exist",
        |world| {
            world.records(topic::REQUESTED, 1).pop();
        },
        &[I2],
        "does not exist",
    ),
    (
        "a request decided twice",
        |world| {
            again(world, topic::DECIDED, 0, 5);
        },
        &[I2, I4, I11, Clock, I8],
        "for the 2th time",
    ),
    (
        "an approved record without a decision of SETTLE",
        |world| {
            add(world, topic::APPROVED, 1, Content::Raw(vec![1]));
        },
        &[I2],
        "has no decision",
    ),
    (
        "an approved record settled twice",
        |world| {
            again(world, topic::SETTLEMENT_EVENTS, 1, 1);
        },
        &[I2, I4, I11],
        "for the 2th time",
    ),
    (
        "a refusal that AUTHORIZE did not take",
        |world| {
            world.records(topic::DECIDED, 1).pop();
        },
        &[I2],
        "payments.results-1@0",
    ),
    (
        "a decision on another topic",
        |world| {
            set(world, topic::DECIDED, 0, 1, "/input/topic", json!("orders"));
        },
        &[I2, Decision],
        "no input of AUTHORIZE",
    ),
    // I3, I4, I11, clock, format
    (
        "an event in another partition than its input",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 1, 1, "/input/partition", json!(0));
            set(world, topic::SETTLEMENT_EVENTS, 1, 1, "/input/offset", json!(7));
        },
        &[I2, I3, I7, DeadLetter],
        "partition of the input is 0",
    ),
    (
        "records consumed out of order",
        |world| {
            swap_bodies(world, topic::DECIDED, 1, 0, 1);
        },
        &[I4, I7],
        "after offset 1",
    ),
    (
        "a gap in the sequence",
        |world| {
            set(world, topic::DECIDED, 1, 4, "/sequence", json!(5));
        },
        &[I11],
        "4 was expected",
    ),
    (
        "a sequence that does not begin at 0",
        |world| {
            for index in 0..2 {
                set(world, topic::SETTLEMENT_EVENTS, 1, index, "/sequence", json!(index + 1));
            }
        },
        &[I11],
        "0 was expected",
    ),
    (
        "a clock that goes back",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 1, 1, "/now", json!(0));
        },
        &[Clock],
        "now is 0",
    ),
    (
        "an event that cannot be read",
        |world| {
            world.records(topic::DECIDED, 0)[0].content = Content::Raw(vec![0, 0, 0, 0, 2, 9]);
        },
        &[Format, I11],
        "payments.decided-0@0",
    ),
    (
        "an event with parts of another kind",
        |world| {
            set(world, topic::DECIDED, 0, 0, "/kind", json!("TICK"));
        },
        &[Format],
        "do not fit",
    ),
    // The decision and its request
    (
        "a decision on another amount",
        |world| {
            set(world, topic::DECIDED, 0, 5, "/decision/payment/amount_minor", json!(501));
        },
        &[Decision],
        "payment is",
    ),
    (
        "a decision id of another position",
        |world| {
            set(world, topic::DECIDED, 0, 5, "/decision/decision_id", json!("payments.requested-0-99"));
        },
        &[Decision],
        "decision_id",
    ),
    (
        "garbage that was approved",
        |world| {
            set(world, topic::DECIDED, 0, 4, "/decision/outcome", json!("DECLINED"));
        },
        &[Decision, I8, DeadLetter],
        "outcome is Declined",
    ),
    (
        "an approval that does not go on",
        |world| {
            set(world, topic::DECIDED, 1, 1, "/decision/forwarded", json!(false));
        },
        &[Decision, I7],
        "forwarded = false",
    ),
    (
        "a decline without a reason",
        |world| {
            set(world, topic::DECIDED, 0, 5, "/decision/reasons", json!([]));
        },
        &[Decision],
        "without a reason",
    ),
    // I8
    (
        "a key approved twice",
        |world| {
            approve_retry(world);
        },
        &[I8, I7],
        "used the key",
    ),
    (
        "a payment id taken twice",
        |world| {
            let event = world.json(topic::DECIDED, 0, 8);
            event["decision"]["outcome"] = json!("DECLINED");
            event["decision"]["first"] = json!(null);
            event["decision"]["key_expires_at"] = json!(i64::MAX);
        },
        &[I8, DeadLetter],
        "used the payment id",
    ),
    (
        "a retry that is told another id",
        |world| {
            set(world, topic::DECIDED, 0, 2, "/decision/first/decision_id", json!("payments.requested-0-5"));
        },
        &[I8],
        "first decision",
    ),
    (
        "a retry that is told another outcome",
        |world| {
            set(world, topic::DECIDED, 0, 2, "/decision/first/outcome", json!("DECLINED"));
        },
        &[I8],
        "first decision",
    ),
    (
        "a retry with other content",
        |world| {
            for (topic, offset) in [(topic::REQUESTED, 1), (topic::DECIDED, 2)] {
                tamper_amount(world, topic, offset);
            }
        },
        &[I8],
        "other content",
    ),
    (
        "a conflict with the same content",
        |world| {
            set(world, topic::REQUESTED, 0, 2, "/amount_minor", json!(10_000));
            set(world, topic::DECIDED, 0, 3, "/decision/payment/amount_minor", json!(10_000));
        },
        &[I8, DeadLetter],
        "the same content",
    ),
    (
        "a retry of a key that has expired",
        |world| {
            let now = world.json(topic::DECIDED, 0, 1)["now"].as_i64().unwrap();
            set(world, topic::DECIDED, 0, 1, "/decision/key_expires_at", json!(now + 1));
        },
        &[I8],
        "first decision",
    ),
    (
        "an approval that uses no key",
        |world| {
            set(world, topic::DECIDED, 1, 1, "/decision/key_expires_at", json!(null));
        },
        &[I8],
        "key used until None",
    ),
    (
        "a payment booked twice",
        |world| {
            set(world, topic::APPROVED, 0, 5, "/payment_id", json!("p-1"));
            set(world, topic::SETTLEMENT_EVENTS, 0, 6, "/decision/approved/payment_id", json!("p-1"));
        },
        &[I7, I8],
        "booked a second time",
    ),
    (
        "a decline that goes on",
        |world| {
            set(world, topic::DECIDED, 0, 5, "/decision/forwarded", json!(true));
        },
        &[Decision, I7],
        "forwarded = true",
    ),
    (
        "a retry that is not told the first decision",
        |world| {
            set(world, topic::DECIDED, 0, 2, "/decision/first", json!(null));
        },
        &[I8],
        "do not fit",
    ),
    // Transitions
    (
        "a transition from another outcome",
        |world| {
            set(world, topic::DECIDED, 0, 11, "/transition/from", json!("DECLINED"));
        },
        &[Transition],
        "from is Declined",
    ),
    (
        "a transition of an unknown decision",
        |world| {
            set(world, topic::DECIDED, 0, 11, "/transition/decision_id", json!("payments.requested-0-77"));
        },
        &[Transition],
        "not decided before",
    ),
    (
        "a refusal that goes on again",
        |world| {
            set(world, topic::DECIDED, 1, 4, "/transition/forwarded", json!(true));
        },
        &[Transition, I7],
        "second time",
    ),
    // I7: from AUTHORIZE to SETTLE
    (
        "a forwarded decision that never arrived",
        |world| {
            world.records(topic::APPROVED, 0).pop();
        },
        &[I2, I7],
        "is not in payments.approved",
    ),
    (
        "an approved record without a decision of AUTHORIZE",
        |world| {
            set(world, topic::APPROVED, 0, 7, "/decision_id", json!("payments.requested-1-9"));
        },
        &[I7],
        "sent it on",
    ),
    (
        "an approved record that stands twice",
        |world| {
            again(world, topic::APPROVED, 0, 7);
        },
        &[I2, I7],
        "stands here again",
    ),
    (
        "an approved record with another amount",
        |world| {
            set(world, topic::APPROVED, 0, 7, "/amount_minor", json!(1));
        },
        &[I7],
        "record is",
    ),
    (
        "a merchant in two partitions",
        |world| {
            let record = world.records(topic::APPROVED, 0).pop().unwrap();
            let records = world.records(topic::APPROVED, 1);
            records.push(record);
            records[2].offset = 2;
        },
        &[I2, I7],
        "partition of the merchant",
    ),
    (
        "a key that is not the merchant",
        |world| {
            world.records(topic::APPROVED, 0)[0].key = Some("d-1".to_owned());
        },
        &[I7],
        "not the merchant",
    ),
    (
        "a refund of more than was paid",
        |world| {
            everywhere_amount(world, 6, 6, 1, 2, 10_001);
        },
        &[I7, Batch, I9, Posting],
        "given back",
    ),
    (
        "a cancellation that gives back another fee",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 4, "/decision/booking/fee_minor", json!(-19));
        },
        &[I7, Batch, Posting],
        "what is cancelled",
    ),
    (
        "a follow-up of what was not booked",
        |world| {
            set(
                world,
                topic::SETTLEMENT_EVENTS,
                0,
                2,
                "/decision/approved/original_payment_id",
                json!("p-9"),
            );
        },
        &[I7],
        "not booked",
    ),
];
