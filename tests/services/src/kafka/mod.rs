//! Apache Kafka on this machine: one broker or three, in KRaft mode, each of them broker and controller.
//!
//! Owns the brokers' processes, ports and folders. It must not know which topics a test uses.
//!
//! Each broker listens three times on 127.0.0.1: CLIENT for the program under test, with the security that the
//! options name; INTERNAL for the other brokers and for administration, plaintext, everything allowed;
//! CONTROLLER. Only CLIENT can be advertised under another port, so a proxy breaks what clients see and never
//! the cluster itself.

mod admin;
mod broker;
mod options;
mod settings;
mod target;
mod tool;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

pub use broker::Broker;
pub use options::{Jvm, Options, Scram, Security, User};
pub use target::Target;
pub use tool::{tool, tool_with_input};

use crate::folder::Folder;
use crate::proxy::Proxy;
use crate::tls::Authority;
use crate::{Error, Installed, Result, class_archive, install, random};
use broker::Plan;
use settings::{BrokerPorts, Layout};

/// A Kafka cluster that belongs to one test program. Dropping it kills its brokers.
///
/// Its folder goes too, unless the test panics: then it stays, logs included, and its path is printed.
#[derive(Debug)]
pub struct Cluster {
    // The brokers stand first: they end before their folder goes.
    brokers: Vec<Broker>,
    options: Options,
    installed: Installed,
    certificates: Option<Certificates>,
    folder: Folder,
}

impl Cluster {
    /// Fetches Kafka if needed, starts the brokers, and returns when each of them knows all of them.
    pub fn start(options: Options) -> Result<Self> {
        options.check()?;
        let installed = install()?;
        let flags = class_archive(&installed)?;
        Self::start_with(options, installed, &flags)
    }

    fn start_with(options: Options, installed: Installed, flags: &[String]) -> Result<Self> {
        let folder = Folder::create("kafka")?;
        let root = folder.path();
        let certificates = Certificates::write(&options, root)?;
        let ports = (0..options.brokers).map(|_| BrokerPorts::lease()).collect::<Result<Vec<_>>>()?;
        let layout = Layout {
            ports: &ports,
            options: &options,
            key_store: certificates.as_ref().map(|made| made.key_store.as_path()),
            ca: certificates.as_ref().map(|made| made.ca_file.as_path()),
        };
        let cluster_id = random::base64_uuid();
        let mut plans = Vec::new();
        for node in 0..ports.len() {
            plans.push(Plan::new(&layout, node, root, &installed, &cluster_id, flags)?);
        }
        format_all(&plans, &installed, flags)?;
        let mut brokers = Vec::new();
        for (plan, own_ports) in plans.into_iter().zip(ports) {
            let broker = Broker::new(plan, own_ports);
            broker.launch()?;
            brokers.push(broker);
        }
        let cluster = Self { brokers, options, installed, certificates, folder };
        cluster.wait_until_complete()?;
        Ok(cluster)
    }

    /// As [`Cluster::start`], with a proxy before each broker: `proxies[i]` stands before `broker(i)`, and
    /// clients never learn another address. Only for [`Security::Plaintext`] can the proxies read requests.
    pub fn start_behind_proxies(mut options: Options) -> Result<(Self, Vec<Proxy>)> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let proxies = (0..options.brokers)
            .map(|_| Proxy::start(0, nowhere).map_err(Error::io("start a proxy")))
            .collect::<Result<Vec<_>>>()?;
        options.advertised_ports = Some(proxies.iter().map(Proxy::port).collect());
        let cluster = Self::start(options)?;
        for (proxy, broker) in proxies.iter().zip(&cluster.brokers) {
            proxy.set_upstream(broker.listen_address());
        }
        Ok((cluster, proxies))
    }

    /// Waits until every broker answers and knows all brokers. Bounded.
    pub fn wait_until_complete(&self) -> Result<()> {
        for broker in &self.brokers {
            broker.wait_until_knows(self.brokers.len())?;
        }
        Ok(())
    }

    /// Where clients connect: the advertised addresses of all brokers, as `127.0.0.1:20001,127.0.0.1:20002`.
    pub fn bootstrap(&self) -> String {
        join(self.brokers.iter().map(Broker::advertised_address))
    }

    /// Where administration connects: plaintext, everything allowed, past any proxy.
    pub fn admin_bootstrap(&self) -> String {
        join(self.brokers.iter().map(Broker::admin_address))
    }

    /// A broker by its number, from 0. Panics where there is none.
    pub fn broker(&self, index: usize) -> &Broker {
        &self.brokers[index]
    }

    /// All brokers.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Path of the CA's certificate (PEM) that clients have to trust; `None` without TLS.
    pub fn ca_file(&self) -> Option<&PathBuf> {
        self.certificates.as_ref().map(|made| &made.ca_file)
    }

    /// The CA that signed the brokers' certificate; `None` without TLS.
    pub fn authority(&self) -> Option<&Authority> {
        self.certificates.as_ref().map(|made| &made.authority)
    }

    /// What librdkafka needs to connect as `user`: servers, protocol, CA, mechanism, name and password.
    pub fn client_settings(&self, user: Option<&User>) -> Vec<(String, String)> {
        let mut settings = vec![("bootstrap.servers".to_owned(), self.bootstrap())];
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        set("security.protocol", self.options.security.client_protocol().to_owned());
        if let Some(ca) = self.ca_file() {
            set("ssl.ca.location", ca.display().to_string());
        }
        if let (Security::SaslSsl(mechanism), Some(user)) = (self.options.security, user) {
            set("sasl.mechanism", mechanism.name().to_owned());
            set("sasl.username", user.name.clone());
            set("sasl.password", user.password.clone());
        }
        settings
    }

    /// The files of Kafka, for [`tool`].
    pub fn installed(&self) -> &Installed {
        &self.installed
    }

    /// The folder with the brokers' settings, data and logs (`broker-1/server.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// What a cluster with TLS needs on disk.
#[derive(Debug)]
struct Certificates {
    authority: Authority,
    ca_file: PathBuf,
    key_store: PathBuf,
}

impl Certificates {
    fn write(options: &Options, root: &Path) -> Result<Option<Self>> {
        if !options.security.uses_tls() {
            return Ok(None);
        }
        let authority = Authority::new("Settle test CA")?;
        let server = authority.server(options.certificate)?;
        let (ca_file, key_store) = (root.join("ca.pem"), root.join("broker.pem"));
        for (path, text) in
            [(&ca_file, authority.certificate_pem()), (&key_store, &server.key_and_chain_pem())]
        {
            fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(Some(Self { authority, ca_file, key_store }))
    }
}

/// The flags that make Java start brokers and tools sooner.
fn class_archive(installed: &Installed) -> Result<Vec<String>> {
    let flag = class_archive::flag(installed, "kafka", |flag| {
        let cluster = Cluster::start_with(Options::default(), installed.clone(), &[flag])?;
        cluster.broker(0).stop()
    })?;
    Ok(flag.into_iter().collect())
}

/// Formats the brokers' storage, all at once: each is a Java program that mostly starts.
fn format_all(plans: &[Plan], installed: &Installed, flags: &[String]) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> =
            plans.iter().map(|plan| scope.spawn(|| plan.format(installed, flags))).collect();
        for one in running {
            one.join().expect("formatting does not panic")?;
        }
        Ok(())
    })
}

fn join(addresses: impl Iterator<Item = String>) -> String {
    addresses.collect::<Vec<_>>().join(",")
}
