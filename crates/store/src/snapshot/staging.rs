//! A directory that appears complete or not at all.
//!
//! Owns where a restore writes before it has everything, and that two restores of one directory do not mix.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A directory beside the one that is to appear. It is removed unless it was published.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Holds the lock of the directory, which ends with its process.
    lock: File,
    is_published: bool,
}

impl Staging {
    /// Takes the place beside `target` and empties it: a restore that was interrupted may have left files there.
    pub(super) fn claim(target: &Path) -> Result<Self, Error> {
        refuse_if_not_empty(target)?;
        let failed = |error: &io::Error| Error::from_io("restore", target, error);
        let Some(name) = target.file_name() else {
            return Err(failed(&io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a directory")));
        };
        let path = target.with_file_name(format!("{}.restoring", name.display()));
        fs::create_dir_all(&path).map_err(|error| failed(&error))?;
        let lock = lock_directory(&path, target)?;
        let staging = Self { path, target: target.to_path_buf(), lock, is_published: false };
        staging.clear().map_err(|error| failed(&error))?;
        Ok(staging)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the directory in its place. Its files have to be durable by then.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        refuse_if_not_empty(&self.target)?;
        let publish = || {
            self.lock.sync_all()?;
            // It takes the place of an empty directory, and fails if somebody has filled that meanwhile.
            fs::rename(&self.path, &self.target)?;
            self.target.parent().map_or(Ok(()), sync_directory)
        };
        publish().map_err(|error| Error::from_io("restore", &self.target, &error))?;
        self.is_published = true;
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let directory = self.path.display();
            tracing::warn!(%directory, %error, "an unfinished restore could not be removed and takes up space");
        }
    }
}

/// The lock is on the directory itself, so that nothing is left to be removed. Whoever held it before may have
/// put the directory in its place meanwhile: then it is no longer found under this path.
fn lock_directory(path: &Path, target: &Path) -> Result<File, Error> {
    let failed = |error: &io::Error| Error::from_io("restore", target, error);
    let locked = |detail: &str| Error::Locked { directory: target.to_path_buf(), detail: detail.to_owned() };
    let lock = File::open(path).map_err(|error| failed(&error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked("another process is restoring it")),
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let held = lock.metadata().map_err(|error| failed(&error))?;
    let is_in_place =
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()));
    if is_in_place { Ok(lock) } else { Err(locked("another process has just restored it")) }
}

fn refuse_if_not_empty(target: &Path) -> Result<(), Error> {
    let is_empty = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::from_io("restore", target, &error)),
    };
    if is_empty { Ok(()) } else { Err(Error::DirectoryNotEmpty { directory: target.to_path_buf() }) }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    // The parent of a relative name is empty.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_when_it_is_published() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        for (name, exists) in [("absent", false), ("empty", true), ("a.b/c", false)] {
            let target = parent.path().join(name);
            if exists {
                fs::create_dir(&target).expect("it is created");
            }
            let staging = Staging::claim(&target).expect("nobody else restores it");
            fs::write(staging.path().join("CURRENT"), "content").expect("the file is written");
            assert!(!target.join("CURRENT").exists());
            let path = staging.path().to_path_buf();
            staging.publish().expect("it is published");
            assert_eq!(fs::read_to_string(target.join("CURRENT")).expect("it is there"), "content");
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_is_given_up_leaves_nothing_and_what_was_left_is_removed() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let target = parent.path().join("3");
        let left = parent.path().join("3.restoring");
        fs::create_dir_all(left.join("deeper")).expect("they are created");
        fs::write(left.join("CURRENT"), "of a process that ended").expect("the file is written");
        let staging = Staging::claim(&target).expect("its process has ended");
        assert_eq!(fs::read_dir(&left).expect("it is there").count(), 0);
        fs::write(left.join("CURRENT"), "ours").expect("the file is written");
        drop(staging);
        assert_eq!(fs::read_dir(parent.path()).expect("it is there").count(), 0);
    }

    #[test]
    fn one_at_a_time_restores_a_directory() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let target = parent.path().join("3");
        let first = Staging::claim(&target).expect("nobody else restores it");
        fs::write(first.path().join("CURRENT"), "first").expect("the file is written");
        assert_eq!(Staging::claim(&target).expect_err("it is taken").code(), "STL-0201");
        assert!(first.path().join("CURRENT").exists(), "the second changed nothing");
        first.publish().expect("it is published");
        assert_eq!(Staging::claim(&target).expect_err("it is full").code(), "STL-0218");
    }

    #[test]
    fn what_somebody_else_has_filled_is_not_replaced() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let target = parent.path().join("3");
        let staging = Staging::claim(&target).expect("nobody else restores it");
        fs::create_dir(&target).expect("it is created");
        fs::write(target.join("CURRENT"), "another").expect("the file is written");
        assert_eq!(staging.publish().expect_err("it is full").code(), "STL-0218");
        assert_eq!(fs::read_to_string(target.join("CURRENT")).expect("it is there"), "another");
    }
}
