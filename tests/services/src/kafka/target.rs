//! A cluster of the test's own, or the one that the environment names.

use super::{Cluster, Options, admin};
use crate::{Error, Result};

/// The variable that names a running cluster.
const VARIABLE: &str = "SETTLE_TEST_KAFKA";

/// A cluster to run tests against.
#[derive(Debug)]
pub struct Target {
    bootstrap: String,
    cluster: Option<Cluster>,
}

impl Target {
    /// The plaintext cluster that `SETTLE_TEST_KAFKA=host:port` names, or a new one.
    #[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
    pub fn from_environment_or_start(options: Options) -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(bootstrap) if !bootstrap.is_empty() => Ok(Self { bootstrap, cluster: None }),
            _ => {
                let cluster = Cluster::start(options)?;
                Ok(Self { bootstrap: cluster.bootstrap(), cluster: Some(cluster) })
            }
        }
    }

    /// Where clients connect.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic, with as many replicas as the cluster gives by default.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        match &self.cluster {
            Some(cluster) => cluster.create_topic(name, partitions),
            None => admin::create_topic(&self.bootstrap, name, partitions, &[]),
        }
    }

    /// The cluster, for a test that breaks brokers. An error that says so if it is not ours: such a test fails
    /// rather than look green.
    pub fn ours(&self) -> Result<&Cluster> {
        self.cluster.as_ref().ok_or_else(|| Error::NotOurs { bootstrap: self.bootstrap.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_somebody_else_is_not_broken() {
        let target = Target { bootstrap: "kafka:9092".to_owned(), cluster: None };
        assert_eq!(target.bootstrap(), "kafka:9092");
        let message = target.ours().expect_err("it is not ours").to_string();
        assert!(message.contains("kafka:9092") && message.contains("unset SETTLE_TEST_KAFKA"), "{message}");
    }
}
