//! The start-up check of topics: what is missing or set up so that money could be lost, before anything is read.

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
        check_cleanup(topic)?;
        check_retention(topic, requirements)?;
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

/// A compacted topic forgets: a journal with holes is no state, a ledger with holes no ledger.
fn check_cleanup(topic: &TopicSettings) -> Result<(), Error> {
    match topic.cleanup_policy.as_deref() {
        Some(policy) if policy.contains("compact") => Err(Error::TopicUnfit {
            topic: topic.name.to_string(),
            setting: "cleanup.policy",
            found: policy.to_owned(),
            expected: "delete".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn check_retention(topic: &TopicSettings, requirements: &TopicRequirements) -> Result<(), Error> {
    let Some(needed) = requirements.retention_ms.get(&*topic.name).copied() else { return Ok(()) };
    let unfit = |setting, found: i64, expected: String| Error::TopicUnfit {
        topic: topic.name.to_string(),
        setting,
        found: found.to_string(),
        expected,
    };
    if let Some(found) = topic.retention_ms
        && found >= 0
        && (needed < 0 || found < needed)
    {
        let expected = if needed < 0 { "-1 (forever)".to_owned() } else { format!("at least {needed} ms") };
        return Err(unfit("retention.ms", found, expected));
    }
    // A bound by size can remove any record at any time.
    match topic.retention_bytes {
        Some(found) if found >= 0 => Err(unfit("retention.bytes", found, "-1 (no bound by size)".to_owned())),
        _ => Ok(()),
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

    #[test]
    fn a_topic_that_forgets_is_refused() {
        let compacted = TopicSettings { cleanup_policy: Some("compact,delete".to_owned()), ..topic() };
        assert_eq!(check_cleanup(&compacted).expect_err("compacted").code(), "STL-0313");
        check_cleanup(&topic()).expect("deletes by age only");
        let cases = [
            (Some(-1), Some(-1), -1, true),
            (Some(1_000), Some(-1), -1, false),
            (Some(1_000), Some(-1), 1_000, true),
            (Some(999), Some(-1), 1_000, false),
            (Some(-1), Some(-1), 1_000, true),
            (Some(-1), Some(1 << 30), -1, false),
            (None, None, -1, true),
        ];
        for (retention_ms, retention_bytes, needed, is_fit) in cases {
            let topic = TopicSettings { retention_ms, retention_bytes, ..topic() };
            let checked = check_retention(&topic, &needing(needed));
            assert_eq!(checked.is_ok(), is_fit, "{retention_ms:?} {retention_bytes:?} {needed}");
        }
    }
}
