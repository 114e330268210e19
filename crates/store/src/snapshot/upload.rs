//! From a checkpoint to a snapshot: sends what the repository does not have, then the manifest.
//!
//! Owns the rules 1 and 2 of the module above: how long an upload may take, and which objects it relies on.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use object_store::path::Path as ObjectPath;
use settle_types::Timestamp;

use super::checkpoint::Checkpoint;
use super::hashes::StoreKey;
use super::manifest::{ContentHash, Line, MANIFEST_VERSION, Manifest, SnapshotFile, object_path};
use super::parallel::in_parallel;
use super::{SnapshotRepository, before};
use crate::error::Error;

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The snapshot that is there now.
    pub manifest: Manifest,
    /// Files that were sent; the others were in the repository.
    pub files_sent: usize,
    /// Bytes that were sent.
    pub bytes_sent: u64,
    /// Files that had to be read to know their hash, besides those that were sent.
    pub files_hashed: usize,
}

/// Where the contents are that an upload may rely on.
type KnownObjects = HashMap<ContentHash, u64>;

/// A file of the checkpoint, and what its upload took.
#[derive(Debug)]
pub(super) struct SentFile {
    file: SnapshotFile,
    was_sent: bool,
    was_hashed: bool,
}

/// The time that an upload may take.
#[derive(Clone, Copy)]
pub(super) struct TimeLimit {
    limit: Duration,
    ends_at: Instant,
}

impl SnapshotRepository {
    /// Uploads a checkpoint, and removes it from the disk, also after an error.
    ///
    /// `now` is the wall clock as the upload begins. An upload that takes longer than a quarter of the grace
    /// period fails with [`Error::SnapshotTooSlow`]; the next one finds most of its objects there and goes on.
    pub fn upload(&self, checkpoint: Checkpoint, now: Timestamp) -> Result<Uploaded, Error> {
        let time = TimeLimit::start(self.options.upload_limit());
        let sent = self.send_files(&checkpoint, now, time)?;
        self.write_manifest(&checkpoint, sent, time)
    }

    /// The first half: after it, everything is there but the manifest.
    pub(super) fn send_files(
        &self,
        checkpoint: &Checkpoint,
        now: Timestamp,
        time: TimeLimit,
    ) -> Result<Vec<SentFile>, Error> {
        // Before the first file is looked at: rule 2 is about what was there as the upload began.
        let known = self.known_objects(checkpoint.line(), now)?;
        let generation = self.generation_at(now);
        let directory = checkpoint.directory();
        let store = (checkpoint.line().stage.clone(), checkpoint.line().partition);
        let mut names = names_in(directory).map_err(|error| Error::from_io("read", directory, &error))?;
        names.sort_unstable();
        in_parallel(self.options.concurrency, names, |name| {
            time.check()?;
            let local = LocalFile::open(directory, &store, name)?;
            self.send_file(&local, &known, generation, time)
        })
    }

    /// The generation of an upload that begins now.
    fn generation_at(&self, now: Timestamp) -> u64 {
        let length = self.options.upload_limit().as_secs();
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or(0);
        seconds - seconds % length
    }

    /// What the newest snapshots of a line name, if a collection cannot take it away while this upload runs.
    fn known_objects(&self, line: &Line, now: Timestamp) -> Result<KnownObjects, Error> {
        let mut known = KnownObjects::new();
        let options = &self.options;
        let at_risk = before(now, options.superseded).saturating_add(options.grace);
        let mut manifests = 0;
        for name in self.newest_first(line)? {
            if manifests == options.keep {
                break;
            }
            match self.read_manifest(&name) {
                Ok(manifest) => {
                    manifests += 1;
                    // A line that has not gone on for so long may be removed as a whole.
                    if name.written_at >= at_risk {
                        known.extend(manifest.files.into_iter().map(|file| (file.hash, file.generation)));
                    }
                }
                Err(error) if error.is_cured_by_an_older_snapshot() => {
                    tracing::warn!(code = error.code(), %error, "an upload does not rely on this snapshot");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    fn send_file(
        &self,
        local: &LocalFile<'_>,
        known: &KnownObjects,
        generation: u64,
        time: TimeLimit,
    ) -> Result<SentFile, Error> {
        let cached = self.hashes.find(local.store, &local.name, &local.metadata);
        let hash = match cached {
            Some(hash) => hash,
            None => local.hash(self.options.part_bytes)?,
        };
        self.hashes.remember(local.store, &local.name, &local.metadata, hash);
        let size = local.metadata.len();
        let sent = |generation: u64, was_sent: bool| SentFile {
            file: SnapshotFile { name: local.name.clone(), size, hash, generation },
            was_sent,
            was_hashed: cached.is_none(),
        };
        if let Some(earlier) = known.get(&hash) {
            // An object that was lost would otherwise be missing in every snapshot from now on.
            let is_there = self.objects.size(&object_path(&hash, *earlier))? == Some(size);
            if is_there {
                return Ok(sent(*earlier, false));
            }
        }
        let was_sent = self.put(local, hash, generation, time)?;
        Ok(sent(generation, was_sent))
    }

    /// Sees to it that the object of this content and generation is there, and says whether it had to be sent.
    fn put(
        &self,
        local: &LocalFile<'_>,
        hash: ContentHash,
        generation: u64,
        time: TimeLimit,
    ) -> Result<bool, Error> {
        let path = object_path(&hash, generation);
        let size = local.metadata.len();
        let is_small = usize::try_from(size).is_ok_and(|size| size <= self.options.part_bytes);
        // A second turn if another process creates it at this moment; a third is for a store that says so while
        // that process can still fail.
        for _ in 0..3 {
            let found = self.objects.size(&path)?;
            if found == Some(size) {
                return Ok(false);
            }
            if !is_small {
                self.put_in_parts(local, hash, &path, time)?;
                return Ok(true);
            }
            let content =
                local.read_all(hash).inspect_err(|_| self.hashes.forget(local.store, &local.name))?;
            if found.is_some() {
                // It has the hash in its name and another size: it is damaged.
                self.objects.replace(&path, content)?;
                return Ok(true);
            }
            if self.objects.create(&path, content)? {
                return Ok(true);
            }
        }
        Err(Error::SnapshotStoreFailed {
            operation: "create",
            object: self.objects.place_of(&path),
            detail: "the store says by turns that it is there and that it is not".to_owned(),
        })
    }

    /// A whole object appears when the last part is there. It may take the place of one that another process sent
    /// meanwhile: both have the same content.
    fn put_in_parts(
        &self,
        local: &LocalFile<'_>,
        hash: ContentHash,
        path: &ObjectPath,
        time: TimeLimit,
    ) -> Result<(), Error> {
        let mut parts = self.objects.begin_parts(path)?;
        let mut send = || {
            let mut file = local.reopen()?;
            let mut hasher = blake3::Hasher::new();
            loop {
                time.check()?;
                let part = local.read_part(&mut file, self.options.part_bytes)?;
                if part.is_empty() {
                    break;
                }
                hasher.update(&part);
                parts.send(part)?;
            }
            local.check_hash(hash, &hasher)
        };
        match send() {
            Ok(()) => parts.complete(),
            Err(error) => {
                self.hashes.forget(local.store, &local.name);
                parts.abort();
                Err(error)
            }
        }
    }

    /// The second half, within the same time limit.
    pub(super) fn write_manifest(
        &self,
        checkpoint: &Checkpoint,
        sent: Vec<SentFile>,
        time: TimeLimit,
    ) -> Result<Uploaded, Error> {
        let files_sent = sent.iter().filter(|file| file.was_sent).count();
        let bytes_sent = sent.iter().filter(|file| file.was_sent).map(|file| file.file.size).sum();
        let files_hashed = sent.iter().filter(|file| file.was_hashed).count();
        let line = checkpoint.line();
        let manifest = Manifest {
            format_version: MANIFEST_VERSION,
            application: self.options.application.clone(),
            stage: line.stage.clone(),
            partition: line.partition,
            journal_topic_identity: line.journal_topic_identity.clone(),
            journal_next_offset: checkpoint.journal_next_offset(),
            fold_version: line.fold_version,
            created_at_micros: checkpoint.created_at().as_micros(),
            files: sent.into_iter().map(|file| file.file).collect(),
        };
        self.hashes.keep_only(&(line.stage.clone(), line.partition), &manifest.files);
        self.publish(&manifest, time)?;
        tracing::info!(
            stage = manifest.stage,
            partition = manifest.partition,
            journal_next_offset = manifest.journal_next_offset,
            files = manifest.files.len(),
            files_sent,
            bytes_sent,
            "uploaded a snapshot"
        );
        Ok(Uploaded { manifest, files_sent, bytes_sent, files_hashed })
    }

    fn publish(&self, manifest: &Manifest, time: TimeLimit) -> Result<(), Error> {
        time.check()?;
        let path = manifest.path(&manifest.checksum());
        let content = manifest.encode();
        if !self.objects.create(&path, content.clone())? {
            // A request that was repeated after its answer was lost finds what it wrote itself.
            let is_ours = self.objects.get(&path)?.is_some_and(|found| found == content);
            if !is_ours {
                return Err(Error::SnapshotDamaged {
                    object: self.objects.place_of(&path),
                    detail: "another manifest has its name".to_owned(),
                });
            }
        }
        self.withdraw_if_late(&path, time)
    }

    /// The last request itself may have taken long, or the machine may have slept: a collection may have removed
    /// what the manifest names.
    pub(super) fn withdraw_if_late(&self, manifest: &ObjectPath, time: TimeLimit) -> Result<(), Error> {
        time.check().inspect_err(|_| {
            if let Err(error) = self.objects.remove(manifest) {
                tracing::warn!(code = error.code(), %error, "a manifest that came too late stays behind");
            }
        })
    }
}

impl TimeLimit {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a transfer takes decides nothing but whether it goes on"
    )]
    pub(super) fn start(limit: Duration) -> Self {
        Self { limit, ends_at: Instant::now() + limit }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long a transfer takes decides nothing but whether it goes on"
    )]
    fn check(&self) -> Result<(), Error> {
        if Instant::now() < self.ends_at {
            return Ok(());
        }
        Err(Error::SnapshotTooSlow { limit_seconds: self.limit.as_secs() })
    }
}

/// A file of a checkpoint.
struct LocalFile<'a> {
    directory: &'a Path,
    store: &'a StoreKey,
    name: String,
    metadata: Metadata,
}

impl<'a> LocalFile<'a> {
    fn open(directory: &'a Path, store: &'a StoreKey, name: String) -> Result<Self, Error> {
        let metadata = fs::metadata(directory.join(&name));
        let metadata = metadata.map_err(|error| Error::from_io("read", directory, &error))?;
        Ok(Self { directory, store, name, metadata })
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    fn error(&self, error: &io::Error) -> Error {
        Error::from_io("read", self.directory, error)
    }

    fn reopen(&self) -> Result<File, Error> {
        File::open(self.path()).map_err(|error| self.error(&error))
    }

    fn hash(&self, part_bytes: usize) -> Result<ContentHash, Error> {
        let mut file = self.reopen()?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let part = self.read_part(&mut file, part_bytes)?;
            if part.is_empty() {
                return Ok(ContentHash::new(hasher.finalize()));
            }
            hasher.update(&part);
        }
    }

    /// The next bytes of the file, none at its end.
    fn read_part(&self, file: &mut File, part_bytes: usize) -> Result<Vec<u8>, Error> {
        let limit = u64::try_from(part_bytes).expect("a size fits 64 bits");
        let mut part = Vec::with_capacity(part_bytes);
        file.take(limit).read_to_end(&mut part).map_err(|error| self.error(&error))?;
        Ok(part)
    }

    fn read_all(&self, hash: ContentHash) -> Result<Vec<u8>, Error> {
        let content = fs::read(self.path()).map_err(|error| self.error(&error))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&content);
        self.check_hash(hash, &hasher)?;
        Ok(content)
    }

    /// What is sent under the name of a hash must have it.
    fn check_hash(&self, expected: ContentHash, hasher: &blake3::Hasher) -> Result<(), Error> {
        if ContentHash::new(hasher.finalize()) == expected {
            return Ok(());
        }
        Err(Error::Corrupt {
            directory: self.directory.to_path_buf(),
            detail: format!("{} changed while it was uploaded", self.name),
        })
    }
}

fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is no plain name", name.display()))
        })?;
        if !entry.file_type()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{name} is no file")));
        }
        names.push(name);
    }
    Ok(names)
}
