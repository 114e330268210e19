//! A sample of what Settle wrote: the null pipeline writes the same bytes.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Template {
    /// Its key.
    pub(crate) key: Vec<u8>,
    /// Its value.
    pub(crate) value: Vec<u8>,
}

/// Records of one topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sampled(pub(crate) Vec<Template>);

impl Sampled {
    /// One after the other, again and again.
    pub(crate) fn at(&self, index: u64) -> &Template {
        let count = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        &self.0[usize::try_from(index % count).unwrap_or(0)]
    }
}

/// Samples of the topics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Templates {
    /// Of `payments.decided`.
    pub(crate) decided: Sampled,
    /// Of `payments.approved`.
    pub(crate) approved: Sampled,
    /// Of `settlement.events`.
    pub(crate) events: Sampled,
    /// Of `ledger.transactions`.
    pub(crate) ledger: Sampled,
    /// Requests of a million that are approved.
    pub(crate) approved_per_million: u64,
}

impl Templates {
    /// Whether this request is one of those that are approved: spread evenly.
    pub(crate) fn is_approved(&self, index: u64) -> bool {
        (index + 1) * self.approved_per_million / 1_000_000 > index * self.approved_per_million / 1_000_000
    }

    /// From a file of [`Self::write`].
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// To a file.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec(self)?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_approved_as_were() {
        let templates = Templates { approved_per_million: 913_000, ..Templates::default() };
        let approved = (0..1_000_000).filter(|index| templates.is_approved(*index)).count();
        assert_eq!(approved, 913_000);
    }
}
