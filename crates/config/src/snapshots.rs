//! `[snapshots]` and `[standby]`: how a partition's state is there before its journal is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[snapshots]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotsConfig {
    /// Where snapshots of the state are kept: `file:///directory`, `s3://bucket/prefix`, and in builds with them
    /// `gs://` and `az://`. Without it, none are made, and the journals must be kept forever.
    pub url: Option<String>,
    /// Time between two snapshots of a partition, in seconds.
    #[schemars(range(min = 1, max = 604_800))]
    pub interval_seconds: u64,
    /// Snapshots of each partition that are kept. The same in all processes.
    #[schemars(range(min = 1, max = 1_000))]
    pub keep: usize,
    /// Time for which what is younger is not removed, in seconds; an upload may take a quarter of it. The same in all
    /// processes.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub grace_seconds: u32,
    /// Address of the object store, where it is not that of the cloud.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Access key; without it, as the cloud's own tools find it.
    pub access_key_id: Option<String>,
    /// Secret of the access key. Better from the environment as `SETTLE__SNAPSHOTS__SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<String>,
    /// Whether an address without TLS is allowed.
    pub allow_http: bool,
}

impl Default for SnapshotsConfig {
    fn default() -> Self {
        Self {
            url: None,
            interval_seconds: 600,
            keep: 3,
            grace_seconds: 3_600,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: false,
        }
    }
}

impl SnapshotsConfig {
    /// How far back a journal has to reach, in seconds: twice the age of the oldest snapshot that is kept, so that a
    /// damaged one can be passed over.
    pub fn journal_seconds(&self) -> u64 {
        let keep = u64::try_from(self.keep).unwrap_or(u64::MAX);
        // A snapshot goes once `keep` newer ones are each older than the grace period.
        let oldest = keep
            .saturating_add(1)
            .saturating_mul(self.interval_seconds)
            .saturating_add(self.grace_seconds.into());
        oldest.saturating_mul(2)
    }
}

impl std::fmt::Debug for SnapshotsConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SnapshotsConfig")
            .field("url", &self.url)
            .field("interval_seconds", &self.interval_seconds)
            .field("keep", &self.keep)
            .field("grace_seconds", &self.grace_seconds)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// `[standby]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StandbyConfig {
    /// Whether this process mirrors the journals of the partitions that it does not own, so that it takes them over
    /// warm. It needs the disk for all of them.
    pub enabled: bool,
}
