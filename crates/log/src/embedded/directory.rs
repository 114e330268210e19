//! The directory around the segments: who may use it (`LOCK`) and how it is written (`FORMAT`).
//!
//! The lock is a flock on the file `LOCK`, exclusive for a writer, shared for readers. The operating
//! system releases it when its holder ends, however it ends. The file's contents only name the last
//! holder for messages: process id, a blank, program.
//!
//! `FORMAT` is one line, `settle-embedded-log 1`. It is written under another name, synced and renamed,
//! so that it is never half there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::storage::Access;
use crate::error::{Error, LockHolder};

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_DRAFT_FILE: &str = "FORMAT.new";
const FORMAT_NAME: &str = "settle-embedded-log";
const FORMAT_VERSION: u16 = 1;

/// Holds the directory until it is dropped. `None` on a read-only file system without a `LOCK` file,
/// where nobody can write.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: Option<File>,
}

/// Creates the directory if it is absent, and takes it for writing.
pub(super) fn lock_for_writing(directory: &Path) -> Result<DirectoryLock, Error> {
    fs::create_dir_all(directory).map_err(|source| Error::writing("create", directory, source))?;
    let path = directory.join(LOCK_FILE);
    let mut file = writable_lock_file(&path).map_err(|source| Error::writing("create", &path, source))?;
    match patiently(|| file.try_lock()) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(directory, &mut file)),
        Err(TryLockError::Error(source)) => return Err(Error::writing("lock", &path, source)),
    }
    write_holder(&mut file, &path);
    Ok(DirectoryLock { _file: Some(file) })
}

/// Takes the directory together with other readers.
pub(super) fn lock_for_reading(directory: &Path) -> Result<DirectoryLock, Error> {
    let path = directory.join(LOCK_FILE);
    let (mut file, writable) = match writable_lock_file(&path) {
        Ok(file) => (file, true),
        Err(_) => match File::open(&path) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DirectoryLock { _file: None });
            }
            Err(source) => return Err(Error::reading("open", &path, source)),
        },
    };
    match patiently(|| file.try_lock_shared()) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(directory, &mut file)),
        Err(TryLockError::Error(source)) => return Err(Error::reading("lock", &path, source)),
    }
    if writable {
        write_holder(&mut file, &path);
    }
    Ok(DirectoryLock { _file: Some(file) })
}

/// Times that a lock is tried, 10 ms apart, before its holder is named.
const LOCK_ATTEMPTS: u32 = 20;

/// Tries a lock for a moment: a process that is being started holds the locks of the one that starts it until it
/// runs its own program, and a process that was stopped may need a moment to be gone.
fn patiently(lock: impl Fn() -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    for _ in 1..LOCK_ATTEMPTS {
        match lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
    lock()
}

fn writable_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn locked(directory: &Path, file: &mut File) -> Error {
    let mut contents = String::new();
    // An unreadable name leaves the message without it; the lock is what counts.
    let holder = file.read_to_string(&mut contents).map(|_| parse_holder(&contents)).unwrap_or_default();
    Error::Locked { path: directory.to_path_buf(), holder }
}

fn parse_holder(contents: &str) -> LockHolder {
    let (pid, program) = contents.trim_end().split_once(' ').unwrap_or((contents.trim_end(), ""));
    LockHolder { pid: pid.parse().ok(), program: program.to_owned() }
}

/// Leaves this process's name in the locked file. On a full disk the name is lost, not the lock.
fn write_holder(file: &mut File, path: &Path) {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{} {program}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "could not write the holder's name into the lock file");
    }
}

/// Checks `FORMAT`; a writer creates it in a directory that has no segments yet.
pub(super) fn check_format(directory: &Path, access: Access, has_segments: bool) -> Result<(), Error> {
    let path = directory.join(FORMAT_FILE);
    match fs::read(&path) {
        Ok(contents) => verify_format(&path, &contents),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_segments {
                let what = "the file is missing, but there are segments".to_owned();
                return Err(Error::Corrupt { file: path, position: 0, what });
            }
            if access == Access::Read {
                let what = "it has no FORMAT file";
                return Err(Error::NotALog { path: directory.to_path_buf(), what });
            }
            write_format(directory, &path).map_err(|source| Error::writing("create", &path, source))
        }
        Err(source) => Err(Error::reading("read", &path, source)),
    }
}

fn verify_format(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(contents).unwrap_or_default();
    let version = text.strip_suffix('\n').and_then(|line| line.strip_prefix(FORMAT_NAME)?.strip_prefix(' '));
    let Some(version) = version else {
        let what = format!("expected \"{FORMAT_NAME} {FORMAT_VERSION}\"");
        return Err(Error::Corrupt { file: path.to_path_buf(), position: 0, what });
    };
    if version != FORMAT_VERSION.to_string() {
        let found = version.to_owned();
        return Err(Error::UnsupportedFormat { path: path.to_path_buf(), found, supported: FORMAT_VERSION });
    }
    Ok(())
}

fn write_format(directory: &Path, path: &Path) -> io::Result<()> {
    let draft: PathBuf = directory.join(FORMAT_DRAFT_FILE);
    let mut file = File::create(&draft)?;
    file.write_all(format!("{FORMAT_NAME} {FORMAT_VERSION}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(directory)?.sync_all()?;
    // The directory itself may be new. Its parent need not be ours to open: then the system decides when
    // its name is durable, which nothing depends on but the log's very existence.
    if let Some(parent) = directory.canonicalize()?.parent()
        && let Err(error) = File::open(parent).and_then(|parent| parent.sync_all())
    {
        tracing::warn!(path = %parent.display(), %error, "could not sync the directory that holds the log");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_excludes_everybody_and_readers_exclude_writers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let names_us = |error: &Error| match error {
            Error::Locked { path: locked, holder } => {
                locked == path && holder.pid == Some(std::process::id())
            }
            _ => false,
        };
        let writer = lock_for_writing(path).unwrap();
        assert!(names_us(&lock_for_writing(path).unwrap_err()));
        assert!(names_us(&lock_for_reading(path).unwrap_err()));
        drop(writer);
        let first = lock_for_reading(path).unwrap();
        let second = lock_for_reading(path).unwrap();
        drop(first);
        assert!(names_us(&lock_for_writing(path).unwrap_err()));
        drop(second);
        lock_for_writing(path).unwrap();
    }

    #[test]
    fn the_holder_is_read_as_far_as_it_was_written() {
        let holder = |pid, program: &str| LockHolder { pid, program: program.to_owned() };
        let cases = [
            ("4711 settle\n", holder(Some(4711), "settle")),
            ("4711 a program\n", holder(Some(4711), "a program")),
            ("4711", holder(Some(4711), "")),
            ("", holder(None, "")),
        ];
        for (contents, expected) in cases {
            assert_eq!(parse_holder(contents), expected, "{contents:?}");
        }
    }

    #[test]
    fn the_format_is_created_once_and_then_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let code = |access, has_segments| {
            check_format(path, access, has_segments).map_err(|error| error.code()).err()
        };
        assert_eq!(code(Access::Read, false), Some("STL-0106"));
        assert_eq!(code(Access::Write, true), Some("STL-0108"), "segments without a format");
        assert_eq!(code(Access::Write, false), None);
        assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "settle-embedded-log 1\n");
        assert_eq!(code(Access::Read, true), None);
        let cases = [
            ("settle-embedded-log 2\n", "STL-0107"),
            ("settle-embedded-log 1", "STL-0108"),
            ("something else 1\n", "STL-0108"),
            ("", "STL-0108"),
        ];
        for (contents, expected) in cases {
            fs::write(path.join("FORMAT"), contents).unwrap();
            assert_eq!(code(Access::Write, true), Some(expected), "{contents:?}");
        }
    }
}
