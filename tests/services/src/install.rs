//! Where the files of the services are: `scripts/services.sh` fetches them once and says where they lie.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// The files of the services on this machine.
#[derive(Clone, Debug)]
pub struct Installed {
    root: PathBuf,
}

/// Fetches the services, unless they are there, and says where they lie. Once per process; several processes
/// wait for one another.
///
/// The first time on a machine takes as long as 250 MB take to download.
pub fn install() -> Result<Installed> {
    static INSTALLED: Mutex<Option<Installed>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(installed) = &*installed {
        return Ok(installed.clone());
    }
    let fresh = run_script()?;
    *installed = Some(fresh.clone());
    Ok(fresh)
}

fn run_script() -> Result<Installed> {
    Ok(Installed { root: printed_path("services.sh")? })
}

/// The path that a script of this checkout prints when it has installed something there.
pub(crate) fn printed_path(script: &'static str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(script);
    let output = Command::new("bash")
        .arg(&path)
        .output()
        .map_err(Error::io(format!("run bash {}", path.display())))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let printed = PathBuf::from(stdout.trim());
    if !output.status.success() || !printed.exists() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Install { script, output: format!("{}\n{stderr}{stdout}", output.status) });
    }
    Ok(printed)
}

impl Installed {
    /// Class path of the broker and of the console tools, with the serializers for Avro behind it.
    pub(crate) fn kafka_class_path(&self) -> String {
        let folder = |name: &str| self.root.join(name);
        format!(
            "{}/*:{}/*:{}",
            folder("kafka").display(),
            folder("tools").display(),
            folder("classes").display()
        )
    }

    /// Class path of the S3 server.
    pub(crate) fn s3_class_path(&self) -> String {
        format!("{}/*", self.root.join("s3").display())
    }

    /// The folder of the registry.
    pub(crate) fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// A file beside the folders: how a service logs, or its class archive.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}
