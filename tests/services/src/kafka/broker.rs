//! One broker: how it is started, stopped, killed, paused, and when it counts as ready.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::options::{Jvm, Options, Security};
use super::settings::{BrokerPorts, Layout};
use super::tool::run;
use crate::process::{Program, Service};
use crate::{Error, Installed, Result};

/// Longest time until a broker answers. It takes 3 s on an idle machine; tests run on busy ones.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// Longest time until a broker has ended by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(90);
/// Longest wait for one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What is needed to format and start one broker.
pub(super) struct Plan {
    node_id: usize,
    settings: PathBuf,
    advertised_port: u16,
    cluster_id: String,
    scram_users: Vec<String>,
    program: Program,
}

impl Plan {
    /// Writes the settings. `flags` go to Java, after those that the options choose.
    pub(super) fn new(
        layout: &Layout<'_>,
        node: usize,
        root: &Path,
        installed: &Installed,
        cluster_id: &str,
        flags: &[String],
    ) -> Result<Self> {
        let node_id = node + 1;
        let folder = root.join(format!("broker-{node_id}"));
        fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let settings = folder.join("server.properties");
        let text = layout.server_properties(node, &folder.join("data"));
        fs::write(&settings, text).map_err(Error::io(format!("write {}", settings.display())))?;

        let mut command = vec!["java".to_owned()];
        command.extend(java_flags(layout.options.jvm).iter().map(|flag| (*flag).to_owned()));
        command.extend_from_slice(flags);
        command.push(format!("-Dlog4j2.configurationFile={}", installed.file("log4j2.xml").display()));
        command.extend(["-Dsettle.log.level=INFO", "-cp", &installed.kafka_class_path()].map(str::to_owned));
        command.extend(["kafka.Kafka".to_owned(), settings.display().to_string()]);
        let program = Program {
            name: format!("Kafka broker {node_id}"),
            command,
            directory: folder.clone(),
            log: folder.join("server.log"),
        };
        Ok(Self {
            node_id,
            settings,
            advertised_port: layout.advertised_port(node),
            cluster_id: cluster_id.to_owned(),
            scram_users: scram_users(layout.options),
            program,
        })
    }

    /// Makes the data folder of a new cluster, with its first users.
    pub(super) fn format(&self, installed: &Installed, flags: &[String]) -> Result<()> {
        let settings = self.settings.display().to_string();
        let mut arguments = vec!["format", "--cluster-id", &self.cluster_id, "--config", &settings];
        for user in &self.scram_users {
            arguments.extend(["--add-scram", user]);
        }
        run(installed, flags, "kafka-storage", &arguments, "")?;
        Ok(())
    }
}

fn java_flags(jvm: Jvm) -> &'static [&'static str] {
    match jvm {
        Jvm::QuickStart => &["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"],
        Jvm::LongRun => &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:-UsePerfData"],
    }
}

fn scram_users(options: &Options) -> Vec<String> {
    let Security::SaslSsl(mechanism) = options.security else {
        return Vec::new();
    };
    let describe =
        |user: &super::User| format!("{}=[name={},password={}]", mechanism.name(), user.name, user.password);
    options.users.iter().map(describe).collect()
}

/// One broker of a [`super::Cluster`]. Its methods may be called from any thread.
#[derive(Debug)]
pub struct Broker {
    node_id: usize,
    service: Service,
    advertised_port: u16,
    ports: BrokerPorts,
}

impl Broker {
    pub(super) fn new(plan: Plan, ports: BrokerPorts) -> Self {
        Self {
            node_id: plan.node_id,
            service: Service::new(plan.program),
            advertised_port: plan.advertised_port,
            ports,
        }
    }

    /// Its id in the cluster, from 1.
    pub fn node_id(&self) -> usize {
        self.node_id
    }

    /// Where it listens for clients: what a proxy connects to.
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.client.number()))
    }

    /// Where clients are told to find it: itself, or its proxy.
    pub fn advertised_address(&self) -> String {
        format!("127.0.0.1:{}", self.advertised_port)
    }

    /// Where administration finds it: plaintext, everything allowed.
    pub fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.internal.number())
    }

    /// Its log file, which grows over restarts.
    pub fn log(&self) -> &Path {
        self.service.log()
    }

    /// Its process id, while it runs.
    pub fn process_id(&self) -> Result<u32> {
        self.service.id()
    }

    /// Kills it as `kill -9` does, and returns when it has ended.
    pub fn kill9(&self) -> Result<()> {
        self.service.kill()
    }

    /// Asks it to end in an orderly way (SIGTERM), and returns when it has.
    pub fn stop(&self) -> Result<()> {
        self.service.stop(STOP_PATIENCE)
    }

    /// Starts it again on its ports and data, and returns when it answers.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.wait_until_ready()
    }

    /// Starts it again and does not wait: for a majority that has to come back together.
    pub fn launch(&self) -> Result<()> {
        self.service.start()
    }

    /// Stops its process in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.service.signal("STOP")
    }

    /// Ends a pause (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.service.signal("CONT")
    }

    /// Waits until it answers and counts itself among the living brokers. Bounded.
    pub fn wait_until_ready(&self) -> Result<()> {
        self.wait_until_knows(1)
    }

    /// Waits until it answers, knows at least so many brokers, and is one of them.
    pub(super) fn wait_until_knows(&self, brokers: usize) -> Result<()> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.admin_address())
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "200")
            .create()
            .map_err(|error| Error::Kafka { doing: "make a client".to_owned(), detail: error.to_string() })?;
        let own_id = i32::try_from(self.node_id).expect("there are three brokers at most");
        self.service.wait_until(&format!("answer and know {brokers} brokers"), READY_PATIENCE, || {
            let metadata = consumer
                .fetch_metadata(Some(NO_TOPIC), ANSWER_PATIENCE)
                .map_err(|error| error.to_string())?;
            let ids: Vec<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
            if ids.contains(&own_id) && ids.len() >= brokers {
                return Ok(());
            }
            Err(format!("it knows the brokers {ids:?}"))
        })
    }
}

/// Asking for one topic keeps the answer small; it need not exist.
const NO_TOPIC: &str = "settle-test-readiness";
