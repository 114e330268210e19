//! What topics have to be like, and the check at the start: what is missing or set up so that money could be lost is
//! said before anything is read.

use std::collections::BTreeMap;

use settle_engine::Stage;
use settle_log::{Log, TopicSettings};

use crate::error::Error;

/// What the topics of a run have to be like.
#[derive(Clone, Debug, Default)]
pub struct TopicRequirements {
    /// Milliseconds for which a topic keeps its records, at least; -1: forever. Topics that are not named may keep theirs
    /// as they like.
    pub retention_ms: BTreeMap<String, i64>,
}

/// A setting of a topic that is not as a run needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDifference {
    /// The topic.
    pub topic: String,
    /// Which setting, by its name in Kafka.
    pub setting: &'static str,
    /// Its value.
    pub found: String,
    /// What it should be, in words.
    pub expected: String,
    /// A value that would do.
    pub remedy: String,
}

impl From<TopicDifference> for Error {
    fn from(difference: TopicDifference) -> Self {
        let TopicDifference { topic, setting, found, expected, remedy: _ } = difference;
        Self::TopicUnfit { topic, setting, found, expected }
    }
}

/// Checks the topics of a stage: that they are there, with equal partition counts where those have to be equal, not
/// compacted, with enough retention, and that this process may use them.
pub(crate) fn check<S: Stage>(log: &dyn Log, requirements: &TopicRequirements) -> Result<(), Error> {
    let inputs = || std::iter::once(S::PRIMARY).chain(S::SECONDARIES.iter().copied());
    let mut names: Vec<&str> = inputs().chain([S::JOURNAL]).chain(S::OUTPUTS.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    let settings = log.topic_settings(&names)?;
    let found: BTreeMap<&str, &TopicSettings> = settings.iter().map(|topic| (&*topic.name, topic)).collect();
    for name in &names {
        let Some(topic) = found.get(name) else {
            return Err(settle_log::Error::UnknownTopic { topic: (*name).to_owned() }.into());
        };
        if let Some(first) = topic_differences(topic, requirements).into_iter().next() {
            return Err(first.into());
        }
    }
    let may = |operation: &'static str, name: &str, is_allowed: fn(&TopicSettings) -> bool| {
        let is_refused = found.get(name).is_some_and(|topic| !is_allowed(topic));
        let refusal = || settle_log::Error::NotAuthorized {
            operation,
            subject: name.to_owned(),
            what: format!("no access control list allows {operation} on topic {name}"),
        };
        if is_refused { Err(Error::from(refusal())) } else { Ok(()) }
    };
    for name in inputs().chain([S::JOURNAL]) {
        may("read", name, |topic| topic.may_read)?;
    }
    for name in S::OUTPUTS.iter().copied().chain([S::JOURNAL]) {
        may("write", name, |topic| topic.may_write)?;
    }
    Ok(())
}

/// Every setting of a topic that is not as a run needs it, as far as the log tells its settings; the worst first.
pub fn topic_differences(topic: &TopicSettings, requirements: &TopicRequirements) -> Vec<TopicDifference> {
    let cleanup = cleanup_difference(topic);
    let Some(needed_ms) = requirements.retention_ms.get(&*topic.name).copied() else {
        return cleanup.into_iter().collect();
    };
    let differences = [cleanup, age_difference(topic, needed_ms), size_difference(topic)];
    differences.into_iter().flatten().collect()
}

/// A compacted topic forgets: a journal with holes is no state, a ledger with holes no ledger.
fn cleanup_difference(topic: &TopicSettings) -> Option<TopicDifference> {
    let policy = topic.cleanup_policy.as_deref()?;
    let is_compacted = policy.contains("compact");
    is_compacted.then(|| different(topic, "cleanup.policy", policy, "delete", "delete"))
}

fn age_difference(topic: &TopicSettings, needed_ms: i64) -> Option<TopicDifference> {
    let found_ms = topic.retention_ms?;
    let is_enough = found_ms < 0 || (needed_ms >= 0 && found_ms >= needed_ms);
    if is_enough {
        return None;
    }
    let expected = if needed_ms < 0 { "-1 (forever)".to_owned() } else { format!("at least {needed_ms} ms") };
    Some(different(topic, "retention.ms", found_ms, expected, needed_ms))
}

/// A bound by size can remove any record at any time.
fn size_difference(topic: &TopicSettings) -> Option<TopicDifference> {
    let found = topic.retention_bytes?;
    (found >= 0).then(|| different(topic, "retention.bytes", found, "-1 (no bound by size)", -1))
}

fn different(
    topic: &TopicSettings,
    setting: &'static str,
    found: impl ToString,
    expected: impl Into<String>,
    remedy: impl ToString,
) -> TopicDifference {
    TopicDifference {
        topic: topic.name.to_string(),
        setting,
        found: found.to_string(),
        expected: expected.into(),
        remedy: remedy.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicSettings {
        TopicSettings {
            name: "payments.decided".into(),
            partitions: 1,
            retention_ms: Some(-1),
            retention_bytes: Some(-1),
            cleanup_policy: Some("delete".to_owned()),
            identity: String::new(),
            may_read: true,
            may_write: true,
        }
    }

    fn needing(retention_ms: i64) -> TopicRequirements {
        TopicRequirements { retention_ms: BTreeMap::from([("payments.decided".to_owned(), retention_ms)]) }
    }

    fn settings_that_differ(topic: &TopicSettings, retention_ms: i64) -> Vec<&'static str> {
        let differences = topic_differences(topic, &needing(retention_ms));
        differences.iter().map(|difference| difference.setting).collect()
    }

    #[test]
    fn a_topic_that_forgets_is_refused() {
        let cases = [
            (Some(-1), Some(-1), -1, true),
            (Some(1_000), Some(-1), -1, false),
            (Some(1_000), Some(-1), 1_000, true),
            (Some(999), Some(-1), 1_000, false),
            (Some(-1), Some(-1), 1_000, true),
            (Some(-1), Some(1 << 30), -1, false),
            (None, None, -1, true),
        ];
        for (retention_ms, retention_bytes, needed_ms, is_fit) in cases {
            let topic = TopicSettings { retention_ms, retention_bytes, ..topic() };
            let differing = settings_that_differ(&topic, needed_ms);
            assert_eq!(
                differing.is_empty(),
                is_fit,
                "{retention_ms:?} {retention_bytes:?} {needed_ms}: {differing:?}"
            );
        }
    }

    #[test]
    fn all_that_differs_is_said_at_once_with_a_value_that_would_do() {
        let forgetful = TopicSettings {
            cleanup_policy: Some("compact,delete".to_owned()),
            retention_ms: Some(5),
            retention_bytes: Some(7),
            ..topic()
        };
        let differences = topic_differences(&forgetful, &needing(-1));
        let remedies: Vec<(&str, &str)> =
            differences.iter().map(|difference| (difference.setting, &*difference.remedy)).collect();
        assert_eq!(
            remedies,
            [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
        );
        let other = TopicSettings { name: "another.topic".into(), ..forgetful };
        assert_eq!(settings_that_differ(&other, -1), ["cleanup.policy"], "nothing is asked of its retention");
        let first = Error::from(differences.into_iter().next().expect("three differences"));
        assert_eq!(first.code(), "STL-0313");
        assert!(
            first.to_string().ends_with("cleanup.policy is compact,delete, delete was expected"),
            "{first}"
        );
    }
}
