//! What the tests need beside the program: services that run on this machine, and judges that share no code with it.
//!
//! Everything listens on 127.0.0.1 on free ports, is waited for with a bound, and is killed by its process id
//! when its owner is dropped, when a test panics, and when the test program itself is killed. The files come
//! from `scripts/services.sh`, which needs Java 17 and Maven and fetches once per machine.
//!
//! ```no_run
//! use settle_test_services::kafka::{Cluster, Options};
//!
//! let cluster = Cluster::start(Options::default())?;
//! cluster.create_topic("payments.requested", 4)?;
//! println!("clients connect to {}", cluster.bootstrap());
//! cluster.broker(0).kill9()?;
//! cluster.broker(0).start()?;
//! # Ok::<(), settle_test_services::Error>(())
//! ```

pub mod audit;
pub mod proxy;

pub mod kafka;
pub mod object_store;
pub mod registry;
pub mod tls;

mod base64;
mod class_archive;
mod error;
mod http;
mod install;
mod ports;
mod process;
mod random;
mod wait;

pub use error::{Error, Result};
pub use install::{Installed, install};
pub use ports::Port;
