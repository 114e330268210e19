//! `[registry]`: where the schemas of records are kept and get their ids.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[registry]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Addresses of a schema registry with Confluent's API, comma separated: the first that answers is used. Without
    /// one, the schemas built in and their ids are used.
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
    /// What to do about a subject whose compatibility level allows changes that Settle cannot follow.
    pub weaker_level: WeakerLevelSetting,
    /// How long one answer may take, in milliseconds.
    #[schemars(range(min = 100, max = 60_000))]
    pub request_timeout_ms: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            auto_register: false,
            weaker_level: WeakerLevelSetting::Fail,
            request_timeout_ms: 5_000,
        }
    }
}

/// What to do about a subject with a weaker level than `FULL_TRANSITIVE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeakerLevelSetting {
    /// Do not start.
    #[default]
    Fail,
    /// Say so in the log, and start.
    Warn,
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
