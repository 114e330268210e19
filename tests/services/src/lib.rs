//! What the tests need beside the program: services that run on this machine, and judges that share no code with it.
//!
//! Everything listens on 127.0.0.1 on free ports, is waited for with a bound, and is killed by its process id
//! when its owner is dropped, when a test panics, and when the test program itself is killed. The files come
//! from `scripts/services.sh`, which needs Java 17 and Maven and fetches once per machine.
//!
//! | module | what it starts | what a test can do with it |
//! |---|---|---|
//! | [`kafka`] | 1 or 3 brokers, open, with TLS or with TLS and SCRAM | create topics, users, permissions; kill, stop, pause and start brokers; run Kafka's tools; stand proxies before the brokers |
//! | [`registry`] | Apicurio Registry with Confluent's API, with a password, TLS or both | kill, pause and restart it; its schemas stay |
//! | [`object_store`] | S3Proxy with one bucket | kill, pause and restart it; its objects stay |
//! | [`foreign`] | kcat, Kafka's console tools, Python's client | write and read Avro through the registry |
//! | [`proxy`] | a TCP proxy that knows Kafka's frames | lose, delay and cut requests |
//! | [`tls`] | nothing: authorities and certificates, right and wrong ones | |
//! | [`audit`] | nothing: reads a cluster and judges what Settle wrote | |
//!
//! The API is blocking, and not for use inside an async runtime. A service may be shared by the tests of a
//! program, in a `static` for instance: it does not die with the test that started it. When a test fails, the
//! folders of its services (`settle-failed-*` in the folder for temporary files) stay, logs included.
//!
//! ```no_run
//! use settle_test_services::kafka::{Cluster, Options, Scram, Security, User, tool};
//!
//! let cluster = Cluster::start(Options { brokers: 3, ..Options::default() })?;
//! cluster.create_topic("payments.requested", 4)?;
//! let servers = cluster.bootstrap();
//! cluster.broker(0).kill9()?;
//! cluster.broker(0).start()?;
//! tool(cluster.installed(), "kafka-topics", &["--bootstrap-server", &servers, "--list"])?;
//!
//! // Clients meet the brokers only through the proxies.
//! let (cluster, proxies) = Cluster::start_behind_proxies(Options::default())?;
//! proxies[0].cut_all();
//!
//! let alice = User::new("alice", "secret");
//! let security = Security::SaslSsl(Scram::Sha512);
//! let options = Options { security, users: vec![alice.clone()], acls: true, ..Options::default() };
//! let cluster = Cluster::start(options)?;
//! cluster.allow(&alice, &["--operation", "Read", "--topic", "payments.requested"])?;
//! let librdkafka = cluster.client_settings(Some(&alice));
//! # Ok::<(), settle_test_services::Error>(())
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `SETTLE_TEST_KAFKA=host:port` | [`kafka::Target`] uses this cluster instead of starting one; tests that break brokers fail and say so |
//! | `SETTLE_CACHE_DIR` | where the files of the services are kept |

pub mod audit;
pub mod proxy;

pub mod foreign;
pub mod kafka;
pub mod object_store;
pub mod registry;
pub mod tls;

mod base64;
mod class_archive;
mod command;
mod error;
mod folder;
mod http;
mod install;
mod ports;
mod process;
mod random;
mod wait;

pub use error::{Error, Result};
pub use install::{Installed, install};
pub use ports::Port;
