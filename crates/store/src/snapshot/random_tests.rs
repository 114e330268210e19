//! Random sequences of everything that happens to a partition's snapshots, against the state in memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use settle_types::Timestamp;

use super::testing::{Contents, GRACE_MINUTES, Site, step};
use super::upload::{SentFile, TimeLimit};
use super::{Manifest, SnapshotRepository};
use crate::testing::{IDENTITY, TestRow, TestStore, contents};
use crate::{Checkpoint, MemoryStore, StateStore};

#[derive(Clone, Debug)]
enum Operation {
    Apply(u32),
    /// New tables take the place of all others.
    Compact,
    Upload,
    /// Begins an upload that takes its time, or never ends.
    BeginUpload,
    /// Ends the one that was begun, if that is not too long ago.
    EndUpload,
    /// Another process, which believes that the partition is its own, uploads the same state from its own files.
    UploadOfAnother,
    /// Makes a checkpoint that is uploaded later, when the process has long lost the partition.
    Keep,
    UploadKept,
    /// Decides what to remove.
    FindGarbage,
    /// Removes what was decided last, however long ago.
    RemoveGarbage,
    Collect,
    /// Goes on from the newest snapshot, on an empty disk.
    Restore,
    /// A process without a memory of hashes takes over.
    Restart,
    Pass(i64),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (1_u32..6).prop_map(Operation::Apply),
        1 => Just(Operation::Compact),
        6 => Just(Operation::Upload),
        4 => Just(Operation::BeginUpload),
        4 => Just(Operation::EndUpload),
        3 => Just(Operation::UploadOfAnother),
        2 => Just(Operation::Keep),
        2 => Just(Operation::UploadKept),
        2 => Just(Operation::FindGarbage),
        2 => Just(Operation::RemoveGarbage),
        3 => Just(Operation::Collect),
        2 => Just(Operation::Restore),
        1 => Just(Operation::Restart),
        6 => prop_oneof![2 => 1_i64..14, 1 => 40_i64..90, 1 => Just(200_i64)].prop_map(Operation::Pass),
    ]
}

/// An upload that has sent its files.
struct Begun {
    checkpoint: Checkpoint,
    sent: Vec<SentFile>,
    minutes: i64,
}

struct Model {
    site: Site,
    repository: SnapshotRepository,
    /// None only while it is replaced.
    store: Option<TestStore>,
    memory: MemoryStore<TestRow>,
    /// What the state was at each offset; it is the same for all who folded so far.
    history: BTreeMap<u64, Contents>,
    kept: Option<Checkpoint>,
    begun: Option<Begun>,
    other: TestStore,
    garbage: Option<super::garbage::Garbage>,
    uploads: usize,
    removed: usize,
}

impl Model {
    fn new() -> Self {
        let site = Site::new();
        let repository = site.repository();
        let store = Some(site.open("store"));
        let other = site.open("other");
        let memory = MemoryStore::new(IDENTITY);
        Self {
            site,
            repository,
            store,
            memory,
            history: BTreeMap::new(),
            kept: None,
            begun: None,
            other,
            garbage: None,
            uploads: 0,
            removed: 0,
        }
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Apply(steps) => self.apply(*steps),
            Operation::Compact => self.store().collect_expired().expect("it compacts"),
            Operation::Upload => {
                if let Some(checkpoint) = self.checkpoint() {
                    self.upload(checkpoint);
                }
            }
            Operation::BeginUpload => {
                if let Some(checkpoint) = self.checkpoint() {
                    let sent = self.site.send(&self.repository, &checkpoint);
                    self.begun = Some(Begun { checkpoint, sent, minutes: self.minutes() });
                }
            }
            Operation::EndUpload => {
                let Some(begun) = self.begun.take() else { return };
                // A quarter of the grace period. A repository that was opened meanwhile is as good: the first half
                // and the second share nothing but what was sent.
                if self.minutes() - begun.minutes < GRACE_MINUTES / 4 {
                    let time = TimeLimit::start(Duration::from_secs(900));
                    self.repository
                        .write_manifest(&begun.checkpoint, begun.sent, time)
                        .expect("the upload ends");
                    self.uploads += 1;
                }
            }
            Operation::UploadOfAnother => self.upload_of_another(),
            Operation::Keep => self.kept = self.checkpoint(),
            Operation::UploadKept => {
                if let Some(checkpoint) = self.kept.take() {
                    self.upload(checkpoint);
                }
            }
            Operation::FindGarbage => {
                self.garbage = Some(self.repository.find_garbage(self.site.now).expect("it ends"));
            }
            Operation::RemoveGarbage => {
                if let Some(garbage) = &self.garbage {
                    self.removed += self.repository.remove_garbage(garbage).expect("it ends").objects_removed;
                }
            }
            Operation::Collect => {
                let now = self.site.now;
                self.removed += self.repository.collect_garbage(now).expect("it ends").objects_removed;
            }
            Operation::Restore => self.restore(),
            Operation::Restart => self.repository = self.site.repository(),
            Operation::Pass(minutes) => self.site.pass_minutes(*minutes),
        }
        self.site.stamp();
    }

    fn store(&mut self) -> &mut TestStore {
        self.store.as_mut().expect("the store is open")
    }

    fn apply(&mut self, steps: u32) {
        let next = self.memory.progress().map_or(0, |progress| progress.journal_next_offset);
        let next = u32::try_from(next).expect("the test takes few steps") + 1;
        for number in next..next + steps {
            step(self.store(), number, "a");
            step(&mut self.memory, number, "a");
            self.history.insert(u64::from(number), contents(&self.memory, Timestamp::MIN));
        }
    }

    fn checkpoint(&mut self) -> Option<Checkpoint> {
        let store = self.store.as_mut().expect("the store is open");
        self.site.try_checkpoint(store)
    }

    fn upload(&mut self, checkpoint: Checkpoint) {
        self.repository.upload(checkpoint, self.site.now).expect("the upload ends");
        self.uploads += 1;
    }

    fn minutes(&self) -> i64 {
        self.site.now.as_micros() / 60_000_000
    }

    fn upload_of_another(&mut self) {
        let end = self.memory.progress().map_or(0, |progress| progress.journal_next_offset);
        let from = self.other.progress().map_or(0, |progress| progress.journal_next_offset);
        replay(&mut self.other, from, end);
        if end > 0 {
            self.site.upload(&self.site.repository(), &mut self.other);
            self.uploads += 1;
        }
    }

    fn restore(&mut self) {
        self.store = None;
        let path = self.site.new_path("stores");
        let restored = self.repository.restore_newest(IDENTITY, "", &path).expect("what is kept is whole");
        let mut store = self.site.open_at(&path);
        let from = restored.map_or(0, |manifest| manifest.journal_next_offset);
        if from > 0 {
            assert_eq!(contents(&store, Timestamp::MIN), self.history[&from]);
        }
        // The journal's tail is replayed.
        let end = self.memory.progress().map_or(0, |progress| progress.journal_next_offset);
        replay(&mut store, from, end);
        assert_eq!(contents(&store, Timestamp::MIN), contents(&self.memory, Timestamp::MIN));
        self.store = Some(store);
    }

    /// Whatever was done, and whoever was held up meanwhile: every snapshot that is there can be restored.
    fn assert_all_whole(&self) -> Vec<Manifest> {
        let manifests: Vec<Manifest> = self
            .site
            .manifests()
            .iter()
            .map(|path| {
                let bytes = fs::read(path).expect("it reads");
                Manifest::decode("a manifest", &bytes).expect("it decodes")
            })
            .collect();
        for manifest in &manifests {
            self.repository.verify(manifest).expect("every snapshot is whole");
        }
        assert_eq!(manifests.is_empty(), self.uploads == 0, "there is always one once there was one");
        manifests
    }
}

fn replay(store: &mut TestStore, from: u64, end: u64) {
    for number in from + 1..=end {
        step(store, u32::try_from(number).expect("the test takes few steps"), "a");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_snapshot_can_be_restored_at_any_time(
        operations in prop::collection::vec(any_operation(), 10..60)
    ) {
        let mut model = Model::new();
        for operation in &operations {
            model.run(operation);
            model.assert_all_whole();
        }
        for manifest in model.assert_all_whole() {
            let restored = model.site.restored(&model.repository, &manifest);
            prop_assert_eq!(&restored, &model.history[&manifest.journal_next_offset]);
        }
    }
}

/// The same with a sequence that is known to remove something at every turn, so that the test above cannot become
/// one in which nothing happens.
#[test]
fn a_long_life_collects_what_it_leaves_behind() {
    let mut model = Model::new();
    for turn in 0..12 {
        let compact = if turn % 3 == 2 { Operation::Compact } else { Operation::Apply(1) };
        for operation in [
            Operation::Apply(3),
            compact,
            Operation::Upload,
            Operation::BeginUpload,
            Operation::Pass(200),
            Operation::FindGarbage,
            Operation::Restore,
            Operation::Upload,
            Operation::Collect,
            Operation::RemoveGarbage,
        ] {
            model.run(&operation);
            model.assert_all_whole();
        }
    }
    assert!(model.removed > 50 && model.uploads == 24, "{} objects were removed", model.removed);
    assert!(model.site.objects().len() < 60, "{} objects are left", model.site.objects().len());
}
