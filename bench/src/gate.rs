//! Whether a run counts: every request decided exactly once, the ledger balanced and its chain whole.
//!
//! Reads committed records only, with the codecs of this repository. `tests/services` has a judge that shares no code with
//! the program; the benchmark runs it on a smaller round, since it keeps all records in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use settle_ledger::chain::{Chain, transaction_id};
use settle_types::authorize::DecisionEvent;
use settle_types::settle::{Direction, LedgerTransaction};
use settle_types::topic;

use crate::clock::now;
use crate::kafka;
use crate::templates::{Sampled, Template, Templates};

/// Longest time without a record.
const SILENCE: Duration = Duration::from_secs(60);
/// Records of a topic that the null pipeline repeats.
const SAMPLED: usize = 4_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Decisions by outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Transactions of the ledger.
    pub(crate) ledger_transactions: u64,
    /// Debits of the ledger by currency, in minor units, equal to its credits.
    pub(crate) ledger_minor: BTreeMap<String, String>,
}

/// Reads committed records of a topic from its beginning to its end.
pub(crate) fn read_topic(
    bootstrap: &str,
    topic: &str,
    partitions: u32,
    mut each: impl FnMut(i32, i64, &[u8], &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ends = kafka::ends(bootstrap, topic, partitions)?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-gate")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", "65536")
        .create()?;
    let mut list = TopicPartitionList::new();
    let mut open = 0_usize;
    for (number, end) in &ends {
        if *end > 0 {
            list.add_partition_offset(topic, *number, Offset::Beginning)?;
            open += 1;
        }
    }
    consumer.assign(&list)?;
    let mut last_at = now();
    while open > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                last_at = now();
                let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
                each(message.partition(), message.offset(), key, value)?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error).with_context(|| format!("read {topic}")),
            None => {
                ensure!(last_at.elapsed() < SILENCE, "{topic} cannot be read to its end: a transaction hangs")
            }
        }
    }
    Ok(())
}

/// Counts records: for the contenders without logic.
pub(crate) fn count(bootstrap: &str, topic: &str, partitions: u32) -> anyhow::Result<u64> {
    let mut count = 0;
    read_topic(bootstrap, topic, partitions, |_, _, _, _| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Judges what a contender with logic wrote.
pub(crate) fn judge(
    bootstrap: &str,
    partitions: u32,
    requests: u64,
    has_ledger: bool,
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let sizes = kafka::ends(bootstrap, topic::REQUESTED, partitions)?;
    let mut decided: Vec<Vec<bool>> =
        sizes.values().map(|end| vec![false; usize::try_from(*end).unwrap_or(0)]).collect();
    let mut approved = 0_u64;
    read_topic(bootstrap, topic::DECIDED, partitions, |partition, offset, _, value| {
        let place = || format!("{}-{partition} at {offset}", topic::DECIDED);
        let event: DecisionEvent = settle_schema::decode(value).with_context(place)?;
        let (Some(input), Some(decision)) = (event.input, event.decision) else { return Ok(()) };
        ensure!(&*input.topic == topic::REQUESTED, "{} decides {}", place(), input.topic);
        let slot = decided
            .get_mut(usize::try_from(input.partition)?)
            .and_then(|offsets| offsets.get_mut(usize::try_from(input.offset).ok()?))
            .with_context(|| format!("{} decides what does not exist", place()))?;
        ensure!(!std::mem::replace(slot, true), "{} decides {} a second time", place(), input.offset);
        approved += u64::from(decision.forwarded);
        *verdict.outcomes.entry(decision.outcome.as_str().to_owned()).or_default() += 1;
        Ok(())
    })?;
    let missing = decided.iter().flatten().filter(|is_decided| !**is_decided).count();
    ensure!(missing == 0, "{missing} of {requests} requests were not decided");
    ensure!(
        verdict.outcomes.values().sum::<u64>() == requests,
        "the requests are not those that were written"
    );
    if has_ledger {
        judge_ledger(bootstrap, partitions, approved, &mut verdict)?;
    }
    Ok(verdict)
}

fn judge_ledger(
    bootstrap: &str,
    partitions: u32,
    approved: u64,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let mut chains: BTreeMap<i32, Chain> = BTreeMap::new();
    let mut sums: BTreeMap<String, (i128, i128)> = BTreeMap::new();
    let mut sales = 0_u64;
    read_topic(bootstrap, topic::LEDGER_TRANSACTIONS, partitions, |partition, offset, _, value| {
        let place = || format!("{}-{partition} at {offset}", topic::LEDGER_TRANSACTIONS);
        let transaction: LedgerTransaction = settle_schema::decode(value).with_context(place)?;
        let chain = chains.entry(partition).or_default();
        *chain = chain.verify(&transaction).with_context(place)?;
        let id = transaction_id(u32::try_from(partition)?, transaction.sequence);
        ensure!(id == transaction.transaction_id, "{} has the id {}", place(), transaction.transaction_id);
        for entry in &transaction.entries {
            let (debits, credits) = sums.entry(entry.currency.as_str().to_owned()).or_default();
            match entry.direction {
                Direction::Debit => *debits += i128::from(entry.amount_minor.get()),
                Direction::Credit => *credits += i128::from(entry.amount_minor.get()),
                Direction::Unknown => bail!("{} has an entry without a side", place()),
            }
        }
        verdict.ledger_transactions += 1;
        sales += u64::from(transaction.decision_id.is_some());
        Ok(())
    })?;
    ensure!(sales == approved, "{approved} payments were approved, {sales} stand in the ledger");
    for (currency, (debits, credits)) in sums {
        ensure!(debits == credits, "the ledger is not balanced in {currency}: {debits} and {credits}");
        verdict.ledger_minor.insert(currency, debits.to_string());
    }
    Ok(())
}

/// Takes samples of all topics for the null pipeline.
pub(crate) fn sample(bootstrap: &str, partitions: u32, requests: u64) -> anyhow::Result<Templates> {
    let take = |topic: &str| -> anyhow::Result<(Sampled, u64)> {
        let (mut sampled, mut count) = (Sampled::default(), 0_u64);
        read_topic(bootstrap, topic, partitions, |_, _, key, value| {
            // The first events hold the configuration, which is not what is written all day.
            let is_due = value.len() < 4_000 && sampled.0.len() < SAMPLED;
            if is_due {
                sampled.0.push(Template { key: key.to_vec(), value: value.to_vec() });
            }
            count += 1;
            Ok(())
        })?;
        ensure!(!sampled.0.is_empty(), "{topic} has nothing to take samples of");
        Ok((sampled, count))
    };
    let (decided, _) = take(topic::DECIDED)?;
    let (approved, approved_count) = take(topic::APPROVED)?;
    let (events, _) = take(topic::SETTLEMENT_EVENTS)?;
    let (ledger, _) = take(topic::LEDGER_TRANSACTIONS)?;
    let approved_per_million = approved_count * 1_000_000 / requests.max(1);
    Ok(Templates { decided, approved, events, ledger, approved_per_million })
}
