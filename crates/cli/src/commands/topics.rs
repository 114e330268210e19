//! `settle topics create | list | tail`.

mod create;
mod list;
mod tail;

use std::collections::BTreeMap;

use settle_config::Config;
use settle_log::Log;
use settle_types::topic;

use crate::args::{Common, TopicsCommand};
use crate::schemas::RecordReader;
use crate::{Ended, open, settings, telemetry};

/// Runs `settle topics`.
pub(crate) fn run(common: &Common, command: &TopicsCommand) -> anyhow::Result<Ended> {
    let loaded = settings::load_quietly(common)?;
    let config = &loaded.config;
    telemetry::start(&config.telemetry.log_level, config.telemetry.is_json());
    match command {
        TopicsCommand::Create { format } if is_kafka(config) => create::on_kafka(&loaded, *format),
        TopicsCommand::Create { format } => create::embedded(config, *format),
        TopicsCommand::List { format } if is_kafka(config) => {
            list::on_kafka(&*open::log_read_only(config)?, *format)
        }
        TopicsCommand::List { format } => list::embedded(&*open::log_read_only(config)?, *format),
        TopicsCommand::Tail(arguments) => {
            tail::tail(&*open::log_read_only(config)?, &mut RecordReader::open(config)?, arguments)
        }
    }
}

fn is_kafka(config: &Config) -> bool {
    config.kafka.bootstrap_servers.is_some()
}

/// Topics of Settle that are there, with their partition counts.
fn existing_topics(log: &dyn Log) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let counts: BTreeMap<_, _> =
        log.topics()?.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    let own = topic::ALL.into_iter().filter_map(|name| Some((name, counts.get(name).copied()?)));
    Ok(own.collect())
}
