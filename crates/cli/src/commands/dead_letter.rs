//! `settle dead-letter list | resubmit`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use settle_log::{Log, OutputRecord, Record, TopicName};
use settle_types::topic::{self, header};

use crate::args::{Common, DeadLetterCommand, DeadLetterFilter, OutputFormat};
use crate::failure::usage;
use crate::output::{self, Sheet, count};
use crate::{Ended, open, settings};

/// Runs `settle dead-letter`.
pub(crate) fn run(common: &Common, command: &DeadLetterCommand) -> anyhow::Result<Ended> {
    let config = settings::load(common)?;
    match command {
        DeadLetterCommand::List { filter, format } => list(&*open::log_read_only(&config)?, filter, *format),
        DeadLetterCommand::Resubmit { filter, dry_run: true } => {
            resubmit(&open::log_read_only(&config)?, filter, true)
        }
        DeadLetterCommand::Resubmit { filter, dry_run: false } => {
            resubmit(&open::log(&config)?, filter, false)
        }
    }
}

/// A dead letter, as its headers tell.
#[derive(Debug, Serialize)]
struct DeadLetter {
    source: String,
    code: String,
    reason: String,
    key: String,
    masked: bool,
    #[serde(skip)]
    source_topic: String,
    #[serde(skip)]
    source_partition: u32,
}

impl DeadLetter {
    fn of(record: &Record) -> Self {
        let text = |name: &str| {
            let found = record.headers.iter().find(|candidate| &*candidate.name == name);
            found.map(|found| String::from_utf8_lossy(&found.value).into_owned()).unwrap_or_default()
        };
        let source_topic = text(header::SOURCE_TOPIC);
        let source_partition = text(header::SOURCE_PARTITION);
        Self {
            source: format!("{source_topic}/{source_partition}@{}", text(header::SOURCE_OFFSET)),
            code: text(header::CODE),
            reason: text(header::REASON),
            key: record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned(),
            masked: text(header::MASKED) == "true",
            source_topic,
            source_partition: source_partition.parse().unwrap_or_default(),
        }
    }

    fn matches(&self, filter: &DeadLetterFilter) -> bool {
        filter.code.as_ref().is_none_or(|code| *code == self.code)
            && filter.source.as_ref().is_none_or(|source| *source == self.source)
    }
}

fn each_dead_letter(
    log: &dyn Log,
    filter: &DeadLetterFilter,
    mut each: impl FnMut(DeadLetter, &Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    open::read_topic(log, topic::DEAD_LETTER, |record| {
        let dead_letter = DeadLetter::of(record);
        if dead_letter.matches(filter) { each(dead_letter, record) } else { Ok(()) }
    })
}

fn list(log: &dyn Log, filter: &DeadLetterFilter, format: OutputFormat) -> anyhow::Result<Ended> {
    let mut sheet = Sheet::new("Dead letters", &["source", "code", "reason"], 3);
    let mut by_code: BTreeMap<String, u64> = BTreeMap::new();
    each_dead_letter(log, filter, |dead_letter, _| {
        *by_code.entry(dead_letter.code.clone()).or_default() += 1;
        match format {
            OutputFormat::Json => output::json(&dead_letter),
            OutputFormat::Human => sheet.row([dead_letter.source, dead_letter.code, dead_letter.reason]),
        }
        Ok(())
    })?;
    if format == OutputFormat::Human {
        sheet.print();
        let summary: Vec<String> =
            by_code.iter().map(|(code, number)| format!("{code} {}", count(*number))).collect();
        output::message(format!(
            "{} dead letter(s): {}",
            count(by_code.values().sum::<u64>()),
            summary.join(", ")
        ));
    }
    Ok(Ended::Done)
}

/// Sends the bytes of requests again. What was masked cannot be sent: its digits are gone.
fn resubmit(log: &Arc<dyn Log>, filter: &DeadLetterFilter, is_dry: bool) -> anyhow::Result<Ended> {
    if filter.code.is_none() && filter.source.is_none() {
        return Err(usage(
            "nothing says which dead letters to send again",
            "give --code or --source; `settle dead-letter list` shows them",
        ));
    }
    let mut producer = if is_dry { None } else { Some(log.producer("settle-resubmit")?) };
    if let Some(producer) = &mut producer {
        producer.begin()?;
    }
    let (mut sent, mut masked, mut refused) = (0_u64, 0_u64, 0_u64);
    each_dead_letter(&**log, filter, |dead_letter, record| {
        if ![topic::REQUESTED, topic::REROUTED].contains(&dead_letter.source_topic.as_str()) {
            // AUTHORIZE has been told of the refusal: booking the record now would part the two stages.
            refused += 1;
            output::message(format!(
                "{}: not sent, SETTLE refused it for good; the payment can be requested again",
                dead_letter.source
            ));
            return Ok(());
        }
        if dead_letter.masked {
            masked += 1;
            output::message(format!(
                "{}: not sent, card numbers were masked; the upstream team has to send it again with a token",
                dead_letter.source
            ));
            return Ok(());
        }
        sent += 1;
        output::data(format!("{}  {}", dead_letter.source, dead_letter.code));
        let Some(producer) = &mut producer else { return Ok(()) };
        let topic = TopicName::from(dead_letter.source_topic.as_str());
        producer.send(&OutputRecord {
            topic: &topic,
            partition: dead_letter.source_partition,
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &[],
        })?;
        Ok(())
    })?;
    if let Some(producer) = &mut producer {
        if sent > 0 {
            producer.commit()?;
        } else {
            producer.abort()?;
        }
    }
    let verb = if is_dry { "would be sent" } else { "sent" };
    output::message(format!(
        "{} dead letter(s) {verb} again, {} masked, {} refused by SETTLE",
        count(sent),
        count(masked),
        count(refused)
    ));
    Ok(if masked + refused == 0 { Ended::Done } else { Ended::WithFindings })
}
