//! Class archives: what a Java program has loaded once, kept so that the next start need not do it again.
//!
//! A broker starts with about half the processor time that way. Made once per machine, by a service that starts
//! and ends for this purpose. A Java that has changed since, or has no such archives, starts without.

use std::fs::{self, File};
use std::path::Path;

use crate::{Error, Installed, Result};

/// The flag that uses the archive of this name, which `warm_up` makes if it is not there yet: it has to run the
/// service, with the flag that it is given, and let it end by itself.
pub(crate) fn flag(
    installed: &Installed,
    name: &str,
    warm_up: impl FnOnce(String) -> Result<()>,
) -> Result<Option<String>> {
    let archive = installed.file(&format!("{name}.jsa"));
    if !archive.exists() {
        let path = installed.file(&format!("{name}.lock"));
        let lock = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        lock.lock().map_err(Error::io(format!("lock {}", path.display())))?;
        // Whoever held the lock before may have made it.
        if !archive.exists() {
            make(&archive, warm_up)?;
        }
    }
    // Empty where this Java makes none.
    let length = fs::metadata(&archive).map_err(Error::io(format!("look at {}", archive.display())))?.len();
    Ok((length > 0).then(|| format!("-XX:SharedArchiveFile={}", archive.display())))
}

fn make(archive: &Path, warm_up: impl FnOnce(String) -> Result<()>) -> Result<()> {
    let partial = archive.with_extension("partial");
    // An archive that exists would not be replaced.
    let _ = fs::remove_file(&partial);
    warm_up(format!("-XX:ArchiveClassesAtExit={}", partial.display()))?;
    if !partial.exists() {
        File::create(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
    }
    fs::rename(&partial, archive).map_err(Error::io(format!("create {}", archive.display())))
}
