//! What can be wrong in ledger, batches, payouts, results and dead letters.

use serde_json::json;

use super::super::super::Invariant::{Batch, DeadLetter, I2, I6, I9, Payout, Posting, Result};
use super::super::super::topic;
use super::super::world::{Content, seal};
use super::{Tampering, add_event, again, mask, raise_payout, repost, set};

pub(super) const TAMPERINGS: &[Tampering] = &[
    // The ledger
    (
        "an entry that was changed",
        |world| {
            set(world, topic::LEDGER_TRANSACTIONS, 0, 3, "/entries/0/amount_minor", json!(701));
        },
        &[I6, I9, Posting],
        "debits of 721, credits of 720",
    ),
    (
        "an entry of zero",
        |world| {
            let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 6);
            transaction["entries"][0]["amount_minor"] = json!(0);
            transaction["entries"][1]["amount_minor"] = json!(0);
        },
        &[I6, I9, Posting],
        "an entry of 0",
    ),
    (
        "a change with a new hash",
        |world| {
            let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 3);
            transaction["batch_id"] = json!("m-1:EUR:2026-03-01");
            seal(transaction);
        },
        &[I9, Posting],
        "prev_hash",
    ),
    (
        "a change of the last transaction with a new hash",
        |world| {
            let transaction = world.json(topic::LEDGER_TRANSACTIONS, 0, 9);
            transaction["batch_id"] = json!("m-1:EUR:2026-03-01");
            seal(transaction);
        },
        &[Posting],
        "transaction is",
    ),
    (
        "a transaction that is missing",
        |world| {
            world.records(topic::LEDGER_TRANSACTIONS, 0).remove(4);
        },
        &[I9, Posting],
        "is not in the ledger",
    ),
    (
        "a transaction that is missing at the end",
        |world| {
            world.records(topic::LEDGER_TRANSACTIONS, 0).pop();
        },
        &[Posting],
        "is not in the ledger",
    ),
    (
        "a transaction that stands twice",
        |world| {
            again(world, topic::LEDGER_TRANSACTIONS, 0, 9);
        },
        &[I9, Posting],
        "stands here again",
    ),
    (
        "a posting to another account",
        |world| {
            repost(world, |entries| entries[1]["account"] = json!("merchant:m-9:payable"));
        },
        &[I9, Posting],
        "entries is",
    ),
    (
        "a posting of another kind",
        |world| {
            let event = world.json(topic::SETTLEMENT_EVENTS, 0, 1);
            event["ledger"]["posting"] = json!("REFUND");
        },
        &[Posting],
        "posting and batch",
    ),
    (
        "a booking that posts nothing",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 8, "/ledger", json!(null));
        },
        &[Posting],
        "posts nothing",
    ),
    (
        "a fee given back with a sale",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 1, "/decision/booking/fee_minor", json!(-315));
        },
        &[Posting, Batch],
        "with a fee of -315",
    ),
    // Batches
    (
        "a batch that closes twice",
        |world| {
            let event = world.json(topic::SETTLEMENT_EVENTS, 0, 11).clone();
            add_event(world, event);
        },
        &[Batch],
        "is closed",
    ),
    (
        "a batch that opens twice",
        |world| {
            let opened = world.json(topic::SETTLEMENT_EVENTS, 0, 1)["batch_opened"].clone();
            world.json(topic::SETTLEMENT_EVENTS, 0, 3)["batch_opened"] = opened;
        },
        &[Batch],
        "a second time",
    ),
    (
        "a booking into a batch that was never opened",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 1, "/batch_opened/batch_id", json!("m-1:EUR:2026-03-01"));
        },
        &[Batch],
        "was never opened",
    ),
    (
        "totals that do not add up",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 9, "/batch_closed/totals/sales_minor", json!(13_001));
        },
        &[Batch],
        "totals is",
    ),
    (
        "a booking into a batch of another currency",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 1, "/batch_opened/currency", json!("USD"));
        },
        &[Batch],
        "is not of m-1 in EUR",
    ),
    (
        "a payout above what is owed",
        |world| {
            for (topic, path) in [(topic::SETTLEMENT_EVENTS, 9), (topic::PAYOUTS, 0)] {
                raise_payout(world, topic, path);
            }
        },
        &[Batch, Posting],
        "reserve + payout + carried",
    ),
    (
        "a carried amount that is lost",
        |world| {
            set(world, topic::SETTLEMENT_EVENTS, 0, 10, "/batch_opened/carried_in_minor", json!(5));
        },
        &[Batch],
        "carried_in_minor is 5",
    ),
    (
        "a reserve released twice",
        |world| {
            let event = world.json(topic::SETTLEMENT_EVENTS, 0, 10).clone();
            set(world, topic::SETTLEMENT_EVENTS, 0, 11, "/batch_closed", json!(null));
            let last = world.json(topic::SETTLEMENT_EVENTS, 0, 11);
            last["reserve_released"] = event["reserve_released"].clone();
        },
        &[Batch, Posting],
        "still kept",
    ),
    // Payouts, results, dead letters
    (
        "a payout that is missing",
        |world| {
            world.records(topic::PAYOUTS, 0).pop();
        },
        &[Payout],
        "is not in settlement.payouts",
    ),
    (
        "a payout that stands twice",
        |world| {
            again(world, topic::PAYOUTS, 0, 0);
        },
        &[Payout],
        "stands here again",
    ),
    (
        "a payout of another amount",
        |world| {
            set(world, topic::PAYOUTS, 0, 0, "/amount_minor", json!(7_946));
        },
        &[Payout],
        "payout is",
    ),
    (
        "a refusal without a result",
        |world| {
            world.records(topic::RESULTS, 1).pop();
        },
        &[I2, Result],
        "is not in payments.results",
    ),
    (
        "a result that stands twice",
        |world| {
            again(world, topic::RESULTS, 1, 0);
        },
        &[I2, Result],
        "stands here again",
    ),
    (
        "a result of another amount",
        |world| {
            set(world, topic::RESULTS, 1, 0, "/approved/amount_minor", json!(1));
        },
        &[Result],
        "result is",
    ),
    (
        "a dead letter that is missing",
        |world| {
            world.records(topic::DEAD_LETTER, 1).pop();
        },
        &[DeadLetter],
        "has no dead letter",
    ),
    (
        "a dead letter that stands twice",
        |world| {
            again(world, topic::DEAD_LETTER, 0, 1);
        },
        &[DeadLetter],
        "the 2th of",
    ),
    (
        "a dead letter of what was taken",
        |world| {
            world.records(topic::DEAD_LETTER, 0)[0].headers[2].1 = "0".to_owned();
        },
        &[DeadLetter],
        "was taken",
    ),
    (
        "a dead letter with another code",
        |world| {
            world.records(topic::DEAD_LETTER, 0)[0].headers[3].1 = "OTHER".to_owned();
        },
        &[DeadLetter],
        "code is",
    ),
    (
        "a dead letter with other bytes",
        |world| {
            world.records(topic::DEAD_LETTER, 0)[0].content = Content::Raw(vec![1]);
        },
        &[DeadLetter],
        "other bytes",
    ),
    (
        "a dead letter without a source",
        |world| {
            world.records(topic::DEAD_LETTER, 0)[0].headers.clear();
        },
        &[DeadLetter],
        "where it came from",
    ),
    (
        "a dead letter in another partition",
        |world| {
            let letter = world.records(topic::DEAD_LETTER, 1).remove(0);
            world.records(topic::DEAD_LETTER, 0).push(letter);
        },
        &[DeadLetter],
        "partition is 0",
    ),
    (
        "a dead letter that is masked without need",
        |world| {
            let headers = &mut world.records(topic::DEAD_LETTER, 0)[0].headers;
            headers.push(("settle.masked".to_owned(), "true".to_owned()));
        },
        &[DeadLetter],
        "well formed",
    ),
    (
        "a dead letter without a reason",
        |world| {
            world.records(topic::DEAD_LETTER, 0)[0].headers.pop();
        },
        &[DeadLetter],
        "has no reason",
    ),
    (
        "a result under another key",
        |world| {
            world.records(topic::RESULTS, 1)[0].key = None;
        },
        &[Result],
        "not the debtor",
    ),
    (
        "a payout under another key",
        |world| {
            world.records(topic::PAYOUTS, 0)[0].key = None;
        },
        &[Payout],
        "not the merchant",
    ),
    (
        "a masked dead letter without the hash",
        |world| {
            mask(world, "0");
        },
        &[DeadLetter],
        "hash of the original",
    ),
];
