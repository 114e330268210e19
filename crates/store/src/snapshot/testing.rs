//! What the tests of snapshots share: a machine with stores, a repository in a directory, and a clock that the
//! test sets. Files of the repository get the time of that clock, as an object store would give it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use settle_engine::StateKey;
use settle_types::Timestamp;
use tempfile::TempDir;

use super::upload::{SentFile, TimeLimit};
use super::{Manifest, SnapshotOptions, SnapshotRepository, Uploaded};
use crate::testing::{IDENTITY, TestRow, TestStore, apply, contents, kept, key, progress};
use crate::{Checkpoint, Progress, Resources, StateStore, Store, StoreOptions};

pub(super) type Contents = (Option<Progress>, Vec<(StateKey, Vec<u8>)>);

/// The beginning of every test, in seconds: the start of a generation.
const START: i64 = 1_788_000_300;
/// The grace period of the tests.
pub(super) const GRACE_MINUTES: i64 = 60;
pub(super) const KEEP: usize = 2;

pub(super) struct Site {
    root: TempDir,
    resources: Resources,
    pub(super) now: Timestamp,
    /// Files of the repository and the times that they were given.
    stamped: HashMap<PathBuf, SystemTime>,
    names: usize,
}

impl Site {
    pub(super) fn new() -> Self {
        let resources =
            Resources::new(StoreOptions { memtable_bytes: 256 * 1024, ..StoreOptions::default() });
        Self {
            root: tempfile::tempdir().expect("a temporary directory"),
            resources: resources.expect("the options work"),
            now: Timestamp::from_micros(START * 1_000_000),
            stamped: HashMap::new(),
            names: 0,
        }
    }

    pub(super) fn options() -> SnapshotOptions {
        SnapshotOptions {
            keep: KEEP,
            grace: settle_types::Duration::from_seconds(60 * 60),
            part_bytes: 5 * 1024 * 1024,
            ..SnapshotOptions::new("settle-test")
        }
    }

    /// The repository as a process of its own would open it.
    pub(super) fn repository(&self) -> SnapshotRepository {
        self.repository_with(Self::options())
    }

    pub(super) fn repository_with(&self, options: SnapshotOptions) -> SnapshotRepository {
        let location = format!("file://{}", self.path("repository").display());
        SnapshotRepository::open(&location, options).expect("the repository opens")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn open(&self, name: &str) -> TestStore {
        self.open_at(&self.path(name))
    }

    pub(super) fn open_at(&self, path: &Path) -> TestStore {
        Store::open(path, &self.resources, IDENTITY).expect("the store opens")
    }

    pub(super) fn pass_minutes(&mut self, minutes: i64) {
        self.now = Timestamp::from_micros(self.now.as_micros() + minutes * 60_000_000);
    }

    pub(super) fn checkpoint(&mut self, store: &mut TestStore) -> Checkpoint {
        self.try_checkpoint(store).expect("it holds something")
    }

    /// None if the store is empty.
    pub(super) fn try_checkpoint(&mut self, store: &mut TestStore) -> Option<Checkpoint> {
        let into = self.new_path("checkpoints");
        store.checkpoint(&into, self.now).expect("the store is copied")
    }

    /// A path under this directory that nobody else has.
    pub(super) fn new_path(&mut self, directory: &str) -> PathBuf {
        self.names += 1;
        self.path(&format!("{directory}/{}", self.names))
    }

    /// Uploads what the store holds now.
    pub(super) fn upload(&mut self, repository: &SnapshotRepository, store: &mut TestStore) -> Uploaded {
        let checkpoint = self.checkpoint(store);
        let uploaded = repository.upload(checkpoint, self.now).expect("the upload ends");
        self.stamp();
        uploaded
    }

    /// Sends the files of a checkpoint and no manifest: what an upload has done before its end, or a crash.
    pub(super) fn send(&self, repository: &SnapshotRepository, checkpoint: &Checkpoint) -> Vec<SentFile> {
        let time = TimeLimit::start(Self::options().upload_limit());
        repository.send_files(checkpoint, self.now, time).expect("the files are sent")
    }

    /// Gives what was written since the last call the time of the clock.
    pub(super) fn stamp(&mut self) {
        let micros = u64::try_from(self.now.as_micros()).expect("the clock is after the epoch");
        let now = UNIX_EPOCH + Duration::from_micros(micros);
        for path in self.repository_files("") {
            let modified =
                fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("it has a time");
            if self.stamped.get(&path) != Some(&modified) {
                let file = File::options().write(true).open(&path).expect("it opens");
                file.set_modified(now).expect("its time is set");
                self.stamped.insert(path, now);
            }
        }
    }

    /// Files of the repository under this directory, sorted.
    pub(super) fn repository_files(&self, directory: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.path("repository").join(directory)];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for entry in entries {
                let path = entry.expect("the entry reads").path();
                if path.is_dir() { directories.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    pub(super) fn objects(&self) -> Vec<PathBuf> {
        self.repository_files("objects")
    }

    pub(super) fn manifests(&self) -> Vec<PathBuf> {
        self.repository_files("manifests")
    }

    /// What a restore of this snapshot gives.
    pub(super) fn restored(&mut self, repository: &SnapshotRepository, manifest: &Manifest) -> Contents {
        let path = self.new_path("restored");
        repository.restore(manifest, &path).expect("the snapshot is whole");
        contents(&self.open_at(&path), Timestamp::MIN)
    }
}

/// The object of a file of a snapshot, as a path on disk.
pub(super) fn object_of(site: &Site, manifest: &Manifest, is_wanted: impl Fn(&str) -> bool) -> PathBuf {
    let file =
        manifest.files.iter().find(|file| is_wanted(&file.name)).expect("the snapshot has such a file");
    site.path("repository").join(file.object().as_ref())
}

pub(super) fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

/// Applies a step whose rows no other step of another `writer` has.
pub(super) fn step(store: &mut dyn StateStore<TestRow>, step: u32, writer: &str) {
    let name = format!("{writer}-{step}");
    let rows = [
        (key(2, &name), Some(kept(&name.repeat(50)))),
        (key(3, "counter"), Some(kept(&name))),
        (key(2, &format!("{writer}-{}", step / 2)), None),
    ];
    apply(store, &rows, &progress(step, i64::from(step)));
}

/// Text that does not compress.
pub(super) fn noise(length: usize, seed: u64) -> String {
    let mut state = seed | 1;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'0' + u8::try_from(state >> 58).expect("six bits")));
    }
    text
}
