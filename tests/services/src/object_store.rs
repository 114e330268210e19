//! An S3 endpoint on this machine: S3Proxy, with one bucket in a folder.
//!
//! Owns its process, port and folder. Addresses are path-style (`endpoint/bucket/key`); requests are signed
//! (version 4) and checked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::folder::Folder;
use crate::process::{Program, Service};
use crate::{Error, Port, Result, http, install};

/// Longest time until the endpoint answers. It takes 2 s on an idle machine.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// Longest time until the endpoint has ended by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// An S3 endpoint that belongs to one test program. Dropping it kills it. Objects survive its own deaths.
#[derive(Debug)]
pub struct S3 {
    service: Service,
    port: Port,
    // Last: the process ends before its folder goes.
    _folder: Folder,
}

impl S3 {
    /// The bucket, which exists.
    pub const BUCKET: &'static str = "settle-test";
    /// The region that requests are signed for; any would do.
    pub const REGION: &'static str = "us-east-1";
    /// The access key.
    pub const ACCESS_KEY: &'static str = "settle-test-access";
    /// Its secret.
    pub const SECRET_KEY: &'static str = "settle-test-secret";

    /// Fetches the server if needed, starts it, and returns when it answers.
    pub fn start() -> Result<Self> {
        let installed = install()?;
        let folder = Folder::create("s3")?;
        let root = folder.path();
        let port = Port::lease()?;
        let data = root.join("data");
        // A bucket is a folder.
        let bucket = data.join(Self::BUCKET);
        fs::create_dir_all(&bucket).map_err(Error::io(format!("create {}", bucket.display())))?;
        write(
            &root.join("s3proxy.properties"),
            &format!(
                "s3proxy.endpoint=http://127.0.0.1:{}\n\
                 s3proxy.authorization=aws-v4\n\
                 s3proxy.identity={}\n\
                 s3proxy.credential={}\n\
                 jclouds.provider=filesystem-nio2\n\
                 jclouds.filesystem.basedir={}\n",
                port.number(),
                Self::ACCESS_KEY,
                Self::SECRET_KEY,
                data.display()
            ),
        )?;
        let command = [
            "java",
            "-Xmx192m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            &format!("-Dlogback.configurationFile={}", installed.file("logback.xml").display()),
            "-cp",
            &installed.s3_class_path(),
            "org.gaul.s3proxy.Main",
            "--properties",
            "s3proxy.properties",
        ];
        let service = Service::new(Program {
            name: "S3Proxy".to_owned(),
            command: command.map(str::to_owned).to_vec(),
            directory: root.to_owned(),
            log: root.join("s3proxy.log"),
        });
        let endpoint = Self { service, port, _folder: folder };
        endpoint.restart()?;
        Ok(endpoint)
    }

    /// Its address, as `http://127.0.0.1:20000`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Kills it as `kill -9` does.
    pub fn kill9(&self) -> Result<()> {
        self.service.kill()
    }

    /// Asks it to end in an orderly way (SIGTERM), and returns when it has.
    pub fn stop(&self) -> Result<()> {
        self.service.stop(STOP_PATIENCE)
    }

    /// Starts it again, with the objects that it had, and returns when it answers.
    pub fn restart(&self) -> Result<()> {
        self.service.start()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()));
        self.service.wait_until("answer", READY_PATIENCE, || {
            // An unsigned request is refused: that is its answer.
            match http::status_of(address, "/") {
                Ok(400..=403) => Ok(()),
                Ok(status) => Err(format!("it answers an unsigned request with status {status}")),
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
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
