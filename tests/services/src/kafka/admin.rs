//! What tests change in a cluster: topics, users, permissions. It goes through the internal listener.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::tool::tool;
use super::{Cluster, Security, User};
use crate::{Error, Result, wait};

/// Longest time for an administrative request.
const PATIENCE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Creates a topic with a replica on each broker.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(name, partitions, &[])
    }

    /// Creates a topic with settings of its own, as in `("retention.ms", "1000")`.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        create_topic(&self.admin_bootstrap(), name, partitions, settings)
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let (admin, options) = admin(&self.admin_bootstrap())?;
        let outcome = block_on(admin.delete_topics(&[name], &options))?;
        check_each(outcome, || format!("delete the topic {name}"))
    }

    /// Creates a user, or changes its password. Takes as long as a Java program takes to start.
    pub fn add_user(&self, user: &User) -> Result<()> {
        let Security::SaslSsl(mechanism) = self.options.security else {
            return Err(Error::Options { detail: "users without SASL: nobody could log in".to_owned() });
        };
        let password = format!("{}=[password={}]", mechanism.name(), user.password);
        let arguments = ["--bootstrap-server", &self.admin_bootstrap(), "--alter", "--entity-type", "users"];
        let change = ["--entity-name", &user.name, "--add-config", &password];
        tool(&self.installed, "kafka-configs", &[&arguments[..], &change[..]].concat())?;
        Ok(())
    }

    /// Allows a user something: `rule` are arguments of `kafka-acls --add`, as in
    /// `["--operation", "Read", "--topic", "payments.requested"]`. Needs [`super::Options::acls`].
    pub fn allow(&self, user: &User, rule: &[&str]) -> Result<()> {
        let principal = format!("User:{}", user.name);
        let arguments = [
            "--bootstrap-server",
            &self.admin_bootstrap(),
            "--add",
            "--force",
            "--allow-principal",
            &principal,
        ];
        tool(&self.installed, "kafka-acls", &[&arguments[..], rule].concat())?;
        Ok(())
    }

    /// Takes a permission back: the counterpart of [`Cluster::allow`], with the same arguments.
    pub fn disallow(&self, user: &User, rule: &[&str]) -> Result<()> {
        let principal = format!("User:{}", user.name);
        let arguments = [
            "--bootstrap-server",
            &self.admin_bootstrap(),
            "--remove",
            "--force",
            "--allow-principal",
            &principal,
        ];
        tool(&self.installed, "kafka-acls", &[&arguments[..], rule].concat())?;
        Ok(())
    }
}

/// Creates a topic through this address, and waits until brokers lead its partitions.
pub(super) fn create_topic(
    bootstrap: &str,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    let doing = || format!("create the topic {name}");
    // -1 is the broker's default: as many replicas as brokers.
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
    for (setting, value) in settings {
        topic = topic.set(setting, value);
    }
    let (admin, options) = admin(bootstrap)?;
    let outcome = block_on(admin.create_topics([&topic], &options))?;
    check_each(outcome, doing)?;
    // The controller has answered; the brokers hear of it a moment later.
    let seen = wait::until(PATIENCE, || {
        let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE);
        Ok::<_, Error>(metadata.map_err(|error| error.to_string()).and_then(|metadata| {
            let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let led = found.filter(|partition| partition.leader() >= 0).count();
            if i32::try_from(led) == Ok(partitions) {
                Ok(())
            } else {
                Err(format!("{led} partitions have a leader"))
            }
        }))
    })?;
    seen.map_err(|detail| Error::Kafka { doing: doing(), detail })
}

fn admin(bootstrap: &str) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
    let client = ClientConfig::new().set("bootstrap.servers", bootstrap).create().map_err(|error| {
        Error::Kafka { doing: "make an admin client".to_owned(), detail: error.to_string() }
    })?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    Ok((client, options))
}

/// Runs one request of rdkafka's admin client to its end, which its own timeouts bound.
fn block_on<T>(request: impl Future<Output = rdkafka::error::KafkaResult<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Error::io("make a runtime for an admin request"))?;
    runtime.block_on(request).map_err(|error| Error::Kafka {
        doing: "answer an admin request".to_owned(),
        detail: error.to_string(),
    })
}

/// The request as a whole went through: each part has its own answer.
fn check_each(outcome: Vec<rdkafka::admin::TopicResult>, doing: impl Fn() -> String) -> Result<()> {
    for part in outcome {
        part.map_err(|(_, code)| Error::Kafka { doing: doing(), detail: code.to_string() })?;
    }
    Ok(())
}
