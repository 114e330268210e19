//! The text of a broker's settings. Pure: it starts nothing and reads nothing.

use std::path::Path;

use super::options::{Options, Scram, Security};
use crate::{Port, Result};

/// The ports of one broker.
#[derive(Debug)]
pub(super) struct BrokerPorts {
    pub(super) client: Port,
    pub(super) internal: Port,
    pub(super) controller: Port,
}

impl BrokerPorts {
    pub(super) fn lease() -> Result<Self> {
        Ok(Self { client: Port::lease()?, internal: Port::lease()?, controller: Port::lease()? })
    }
}

/// What the settings of all brokers derive from.
pub(super) struct Layout<'a> {
    pub(super) ports: &'a [BrokerPorts],
    pub(super) options: &'a Options,
    pub(super) key_store: Option<&'a Path>,
    pub(super) ca: Option<&'a Path>,
}

impl Layout<'_> {
    /// The port that clients are told for a broker.
    pub(super) fn advertised_port(&self, node: usize) -> u16 {
        match &self.options.advertised_ports {
            Some(ports) => ports[node],
            None => self.ports[node].client.number(),
        }
    }

    /// The file `server.properties` of the broker with this index; its node id is one higher.
    pub(super) fn server_properties(&self, node: usize, data: &Path) -> String {
        let mut settings = Settings::default();
        self.identity(&mut settings, node, data);
        self.replication(&mut settings);
        quick_and_small(&mut settings);
        self.security(&mut settings);
        for (name, value) in &self.options.extra {
            settings.set(name, value);
        }
        settings.text()
    }

    fn identity(&self, settings: &mut Settings, node: usize, data: &Path) {
        let own = &self.ports[node];
        let voters: Vec<String> = self
            .ports
            .iter()
            .enumerate()
            .map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports.controller.number()))
            .collect();
        let (internal, controller) = (own.internal.number(), own.controller.number());
        settings.set("process.roles", "broker,controller");
        settings.set("node.id", node + 1);
        settings.set("log.dirs", data.display());
        settings.set("controller.quorum.voters", voters.join(","));
        settings.set("controller.listener.names", "CONTROLLER");
        settings.set("inter.broker.listener.name", "INTERNAL");
        settings.set(
            "listeners",
            format!(
                "CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}",
                own.client.number()
            ),
        );
        settings.set(
            "advertised.listeners",
            format!("CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{internal}", self.advertised_port(node)),
        );
        settings.set(
            "listener.security.protocol.map",
            format!(
                "CLIENT:{},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
                self.options.security.listener_protocol()
            ),
        );
    }

    fn replication(&self, settings: &mut Settings) {
        let replicas = self.options.brokers;
        let enough = if replicas == 1 { 1 } else { 2 };
        settings.set("default.replication.factor", replicas);
        settings.set("min.insync.replicas", enough);
        settings.set("offsets.topic.replication.factor", replicas);
        settings.set("transaction.state.log.replication.factor", replicas);
        settings.set("transaction.state.log.min.isr", enough);
        settings.set("share.coordinator.state.topic.replication.factor", replicas);
        settings.set("share.coordinator.state.topic.min.isr", enough);
    }

    fn security(&self, settings: &mut Settings) {
        if let (Some(key_store), Some(ca)) = (self.key_store, self.ca) {
            let prefix = "listener.name.client";
            settings.set(&format!("{prefix}.ssl.keystore.type"), "PEM");
            settings.set(&format!("{prefix}.ssl.keystore.location"), key_store.display());
            settings.set(&format!("{prefix}.ssl.truststore.type"), "PEM");
            settings.set(&format!("{prefix}.ssl.truststore.location"), ca.display());
        }
        if let Security::SaslSsl(mechanism) = self.options.security {
            settings.set("listener.name.client.sasl.enabled.mechanisms", mechanism.name());
            let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
            let listener = match mechanism {
                Scram::Sha256 => "listener.name.client.scram-sha-256.sasl.jaas.config",
                Scram::Sha512 => "listener.name.client.scram-sha-512.sasl.jaas.config",
            };
            settings.set(listener, module);
        }
        if self.options.acls {
            settings.set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
            // Whoever comes over the internal listener.
            settings.set("super.users", "User:ANONYMOUS");
        }
    }
}

/// Kafka's defaults are for large machines and slow networks; these are for a test on a small one.
fn quick_and_small(settings: &mut Settings) {
    settings.set("auto.create.topics.enable", false);
    settings.set("offsets.topic.num.partitions", 8);
    settings.set("transaction.state.log.num.partitions", 8);
    settings.set("share.coordinator.state.topic.num.partitions", 2);
    settings.set("group.initial.rebalance.delay.ms", 0);
    settings.set("group.min.session.timeout.ms", 1_000);
    settings.set("group.consumer.min.session.timeout.ms", 1_000);
    settings.set("group.consumer.min.heartbeat.interval.ms", 100);
    // How long an abandoned transaction lives beyond its timeout; Kafka's default is 10 s.
    settings.set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 1_000);
    // A killed broker may only come back when its session is over; Kafka's default is 9 s.
    settings.set("broker.session.timeout.ms", 4_000);
    settings.set("broker.heartbeat.interval.ms", 500);
    settings.set("controlled.shutdown.enable", true);
    settings.set("num.network.threads", 2);
    settings.set("num.io.threads", 4);
    settings.set("num.recovery.threads.per.data.dir", 1);
    settings.set("log.cleaner.dedupe.buffer.size", 4_194_304);
}

/// Names and values in the order in which they were first set.
#[derive(Default)]
struct Settings {
    lines: Vec<(String, String)>,
}

impl Settings {
    fn set(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        match self.lines.iter_mut().find(|(known, _)| known == name) {
            Some(line) => line.1 = value,
            None => self.lines.push((name.to_owned(), value)),
        }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|(name, value)| format!("{name}={}\n", value.replace('\\', "\\\\"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &Options) -> String {
        let ports: Vec<BrokerPorts> =
            (0..options.brokers).map(|_| BrokerPorts::lease().expect("ports are free")).collect();
        let layout = Layout { ports: &ports, options, key_store: None, ca: None };
        layout.server_properties(0, Path::new("/data"))
    }

    #[test]
    fn three_brokers_keep_three_copies() {
        let text = text(&Options { brokers: 3, ..Options::default() });
        assert!(text.contains("\ntransaction.state.log.replication.factor=3\n"), "{text}");
        assert!(text.contains("\ntransaction.state.log.min.isr=2\n"), "{text}");
        assert_eq!(text.matches("@127.0.0.1:").count(), 3, "{text}");
    }

    #[test]
    fn a_test_can_replace_a_setting() {
        let text = text(&Options::default().with("num.io.threads", "9"));
        assert!(text.contains("\nnum.io.threads=9\n"), "{text}");
        assert_eq!(text.matches("num.io.threads=").count(), 1, "{text}");
    }

    #[test]
    fn clients_are_told_the_port_of_the_proxy_and_brokers_are_not() {
        let text = text(&Options { advertised_ports: Some(vec![4_711]), ..Options::default() });
        let line = text.lines().find(|line| line.starts_with("advertised.listeners=")).expect("it is set");
        assert!(line.contains("CLIENT://127.0.0.1:4711,INTERNAL://127.0.0.1:"), "{line}");
        assert!(!line.contains("INTERNAL://127.0.0.1:4711"), "{line}");
    }
}
