//! What the process talks to beside the log: a schema registry, an object store for snapshots, and its own HTTP port.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[registry]`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Address of a schema registry with Confluent's API. Without it, the schemas built in and their ids are used.
    pub url: Option<String>,
    /// Name of the user, where the registry asks for one.
    pub username: Option<String>,
    /// The password. Better from a file, or from the environment as `SETTLE__REGISTRY__PASSWORD`.
    pub password: Option<String>,
    /// File that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authorities that sign the registry's certificate; without it: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether schemas that are not in the registry are registered at the start, rather than refused.
    pub auto_register: bool,
    /// How long one answer may take, in milliseconds; without it, 5,000.
    #[schemars(range(min = 100, max = 60_000))]
    pub request_timeout_ms: Option<u64>,
}

impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RegistryConfig")
            .field("url", &self.url)
            .field("username", &self.username)
            .field("auto_register", &self.auto_register)
            .finish_non_exhaustive()
    }
}

/// `[snapshots]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotsConfig {
    /// Where snapshots of the state are kept: `file:///directory` or `s3://bucket/prefix`. Without it, none are made, and
    /// the journals must be kept forever.
    pub url: Option<String>,
    /// Time between two snapshots of a partition, in seconds.
    #[schemars(range(min = 1, max = 604_800))]
    pub interval_seconds: u64,
    /// Snapshots of each partition that are kept.
    #[schemars(range(min = 1, max = 1_000))]
    pub keep: u32,
    /// Time for which an object that no snapshot names is kept, in seconds: longer than an upload takes.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub grace_seconds: u64,
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
            interval_seconds: 900,
            keep: 3,
            grace_seconds: 86_400,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: false,
        }
    }
}

impl std::fmt::Debug for SnapshotsConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SnapshotsConfig")
            .field("url", &self.url)
            .field("interval_seconds", &self.interval_seconds)
            .field("keep", &self.keep)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port of `/livez`, `/readyz` and `/metrics`: `0.0.0.0:9600`. Without it, nothing listens.
    pub listen: Option<String>,
}

/// `[standby]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StandbyConfig {
    /// Whether this process mirrors the partitions that it does not own, so that it can take them over warm.
    pub enabled: bool,
}
