//! A schema registry on this machine: Apicurio Registry, which speaks the API of Confluent's.
//!
//! Owns its process, port and folder. It must not know which schemas a test registers. Apicurio's own build
//! knows passwords only through an OpenID server, so a gate of this crate stands before it where a test wants
//! Basic authentication or TLS.

mod gate;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder::Folder;
use crate::process::{Program, Service};
use crate::tls::{Authority, Certificate};
use crate::{Error, Installed, Port, Result, class_archive, http, install};
use gate::Gate;

/// Longest time until the registry answers. It takes 3 s on an idle machine.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// Longest time until the registry has ended by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// The API of Confluent's registry.
const CONFLUENT_API: &str = "/apis/ccompat/v7";
/// Apicurio's own API.
const OWN_API: &str = "/apis/registry/v2";

/// What a test can ask of a registry. The default is open and plaintext.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name and password that every request must carry.
    pub basic_auth: Option<(String, String)>,
    /// Answers by https only, and shows this certificate.
    pub tls: Option<Certificate>,
}

/// A registry that belongs to one test program. Dropping it kills it. Its schemas survive its own deaths.
#[derive(Debug)]
pub struct Registry {
    service: Service,
    port: Port,
    gate: Option<Gate>,
    authority: Option<Authority>,
    ca_file: Option<PathBuf>,
    // Last: the process ends before its folder goes.
    _folder: Folder,
}

impl Registry {
    /// Fetches the registry if needed, starts it, and returns when it answers.
    pub fn start(options: &Options) -> Result<Self> {
        let installed = install()?;
        let flag = class_archive::flag(&installed, "registry", |flag| {
            Self::start_with(&Options::default(), &installed, Some(flag))?.stop()
        })?;
        Self::start_with(options, &installed, flag)
    }

    fn start_with(options: &Options, installed: &Installed, flag: Option<String>) -> Result<Self> {
        let folder = Folder::create("registry")?;
        let port = Port::lease()?;
        let service = Service::new(Program {
            name: "Apicurio Registry".to_owned(),
            command: command(installed, flag, folder.path(), port.number())?,
            directory: folder.path().to_owned(),
            log: folder.path().join("registry.log"),
        });
        let mut authority = None;
        let mut ca_file = None;
        let mut identity = None;
        if let Some(certificate) = options.tls {
            let made = Authority::new("Settle test registry CA")?;
            let path = folder.path().join("ca.pem");
            fs::write(&path, made.certificate_pem())
                .map_err(Error::io(format!("write {}", path.display())))?;
            identity = Some(made.server(certificate)?);
            authority = Some(made);
            ca_file = Some(path);
        }
        let gate = if options.basic_auth.is_some() || identity.is_some() {
            let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
            Some(Gate::start(upstream, options.basic_auth.as_ref(), identity.as_ref())?)
        } else {
            None
        };
        let registry = Self { service, port, gate, authority, ca_file, _folder: folder };
        registry.restart()?;
        Ok(registry)
    }

    /// Base address of the Confluent API, without a slash at its end: what `settle` and other clients are told.
    pub fn url(&self) -> String {
        format!("{}{CONFLUENT_API}", self.origin())
    }

    /// Base address of Apicurio's own API, for its serializers in the console tools.
    pub fn own_url(&self) -> String {
        format!("{}{OWN_API}", self.origin())
    }

    /// Path of the CA's certificate (PEM) that clients have to trust; `None` without TLS.
    pub fn ca_file(&self) -> Option<&PathBuf> {
        self.ca_file.as_ref()
    }

    /// The CA that signed its certificate; `None` without TLS.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Kills it as `kill -9` does.
    pub fn kill9(&self) -> Result<()> {
        self.service.kill()
    }

    /// Asks it to end in an orderly way (SIGTERM), and returns when it has.
    pub fn stop(&self) -> Result<()> {
        self.service.stop(STOP_PATIENCE)
    }

    /// Starts it again, with the schemas that it had, and returns when it answers.
    pub fn restart(&self) -> Result<()> {
        self.service.start()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()));
        self.service.wait_until("answer", READY_PATIENCE, || {
            match http::status_of(address, &format!("{CONFLUENT_API}/subjects")) {
                Ok(200) => Ok(()),
                Ok(status) => Err(format!("it answers with status {status}")),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Stops its process in its tracks (SIGSTOP): connections are accepted and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.service.signal("STOP")
    }

    /// Ends a pause (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.service.signal("CONT")
    }

    fn origin(&self) -> String {
        let (scheme, port) = match &self.gate {
            Some(gate) if gate.uses_tls() => ("https", gate.port()),
            Some(gate) => ("http", gate.port()),
            None => ("http", self.port.number()),
        };
        format!("{scheme}://127.0.0.1:{port}")
    }
}

fn command(installed: &Installed, flag: Option<String>, folder: &Path, port: u16) -> Result<Vec<String>> {
    let mut command =
        vec!["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
    command.extend(flag);
    command.push("-Dquarkus.http.host=127.0.0.1".to_owned());
    command.push(format!("-Dquarkus.http.port={port}"));
    // The database that is in memory by default; of twenty connections at the start, one is enough.
    let database = folder.join("schemas");
    command.push(format!("-DREGISTRY_DATASOURCE_URL=jdbc:h2:file:{};WRITE_DELAY=0", database.display()));
    command.push("-Dquarkus.datasource.jdbc.initial-size=1".to_owned());
    command.push("-Dquarkus.datasource.jdbc.min-size=1".to_owned());
    command.push("-jar".to_owned());
    command.push(runner(&installed.registry())?.display().to_string());
    Ok(command)
}

/// The program's archive, whose name holds its version.
fn runner(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(Error::io(format!("list {}", folder.display())))?;
    for entry in entries {
        let path = entry.map_err(Error::io(format!("list {}", folder.display())))?.path();
        if path.to_string_lossy().ends_with("-runner.jar") {
            return Ok(path);
        }
    }
    Err(Error::Install {
        script: "services.sh",
        output: format!("there is no *-runner.jar in {}", folder.display()),
    })
}
