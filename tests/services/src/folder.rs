//! The folder of a service: settings, data, log. Removed with the service, kept when its test fails.
//!
//! A test program that is killed, or holds a service in a `static`, removes nothing: the next one does. It knows
//! what is still in use by a lock, which ends with the process that holds it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use crate::{Error, Result};

/// How names of folders in use start.
const IN_USE: &str = "settle-test-";
/// How names of folders start that a failed test left for people.
const FAILED: &str = "settle-failed-";
/// The file whose lock says that the folder is in use.
const LOCK: &str = "owner.lock";

/// A folder that goes when this is dropped, unless a panic drops it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new folder, named for what it is for: "kafka".
    pub(crate) fn create(kind: &str) -> Result<Self> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        // It gets the name that the search above looks at when it is locked, not before.
        let starting =
            TempDir::with_prefix("settle-starting-").map_err(Error::io("create a temporary folder"))?;
        let lock_path = starting.path().join(LOCK);
        let lock = File::create(&lock_path).map_err(Error::io(format!("create {}", lock_path.display())))?;
        lock.lock().map_err(Error::io(format!("lock {}", lock_path.display())))?;
        let suffix = suffix_of(starting.path());
        let path = parent.join(format!("{IN_USE}{kind}-{suffix}"));
        fs::rename(starting.path(), &path).map_err(Error::io(format!("create {}", path.display())))?;
        // There is nothing under the first name any more.
        let _ = starting.keep();
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What cannot be removed now is abandoned, and removed by a later program.
            let _ = fs::remove_dir_all(&self.path);
            return;
        }
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let kept = self.path.with_file_name(name.replacen(IN_USE, FAILED, 1));
        let path = if fs::rename(&self.path, &kept).is_ok() { &kept } else { &self.path };
        #[expect(clippy::print_stderr, reason = "the reader of a failed test needs the service's log")]
        {
            eprintln!("log and data of the failed test's service are kept in {}", path.display());
        }
    }
}

/// The part of a temporary name that makes it unique.
fn suffix_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.rsplit('-').next().unwrap_or_default().to_owned()
}

/// Removes folders whose owners have ended. Whatever cannot be looked at or removed is left alone.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(IN_USE) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner() {
        let folder = Folder::create("unit").expect("a folder");
        let path = folder.path().to_owned();
        fs::write(path.join("data"), "x").expect("it can be written");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn only_folders_without_an_owner_are_removed() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).expect("it can be created");
            let lock = File::create(path.join(LOCK)).expect("it can be created");
            (path, lock)
        };
        let (abandoned, _) = make("settle-test-kafka-a");
        let (owned, lock) = make("settle-test-kafka-b");
        lock.lock().expect("it can be locked");
        let (foreign, _) = make("another-a");
        remove_abandoned(parent.path());
        assert!(!abandoned.exists());
        assert!(owned.exists() && foreign.exists());
    }

    #[test]
    fn a_failed_test_leaves_its_folder() {
        let failed = thread::spawn(|| {
            let folder = Folder::create("unit").expect("a folder");
            panic::panic_any(folder.path().to_owned());
        });
        let payload = failed.join().expect_err("it panics");
        let path = payload.downcast_ref::<PathBuf>().expect("its path").clone();
        assert!(!path.exists(), "it would be removed as abandoned");
        let kept = path.to_string_lossy().replace(IN_USE, FAILED);
        fs::remove_dir_all(kept).expect("it was kept");
    }
}
