//! `[http]`: what the process answers to probes and metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port of `/livez`, `/readyz` and `/metrics`: `0.0.0.0:9600`. Without it, nothing listens.
    pub listen: Option<String>,
}
