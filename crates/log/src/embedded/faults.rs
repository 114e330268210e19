//! A storage that fails on demand: short writes, a full disk, failed syncs.
//!
//! Owns the test double of the file layer. It lies over the real directory, so that what a fault leaves
//! behind can be opened again and looked at. Never used outside tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{Access, DirectoryStorage, SegmentFile, Storage};

/// A call of the file layer. Each kind is counted for itself, over all segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`SegmentFile::append_at`]
    Append,
    /// [`SegmentFile::read_at`]
    Read,
    /// [`SegmentFile::sync`]
    Sync,
    /// [`SegmentFile::truncate`]
    Truncate,
    /// [`Storage::create_segment`]
    Create,
    /// [`Storage::sync_directory`]
    SyncDirectory,
}

/// What happens instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this error, and does nothing.
    Fail(io::ErrorKind),
    /// An append writes this many bytes and reports so; others are not affected.
    Short(usize),
    /// An append writes this many bytes, and fails with the error.
    ShortThenFail(usize, io::ErrorKind),
}

#[derive(Debug, Default)]
struct Plan {
    faults: BTreeMap<(Call, u64), Fault>,
    calls: BTreeMap<Call, u64>,
}

/// The faults to come, shared by a storage and the test that steers it.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    plan: Arc<Mutex<Plan>>,
}

impl FaultPlan {
    /// Plans `fault` for the `nth` call of this kind from now on; 1 is the next.
    pub fn at(&self, call: Call, nth: u64, fault: Fault) {
        assert!(nth > 0, "the next call is number 1");
        let mut plan = self.lock();
        let made = plan.calls.get(&call).copied().unwrap_or(0);
        plan.faults.insert((call, made + nth), fault);
    }

    /// Whether every planned fault has happened: a test whose fault never happened shows nothing.
    pub fn all_happened(&self) -> bool {
        self.lock().faults.is_empty()
    }

    /// How many calls of this kind were made.
    pub fn calls(&self, call: Call) -> u64 {
        self.lock().calls.get(&call).copied().unwrap_or(0)
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.lock();
        let made = plan.calls.entry(call).or_default();
        *made += 1;
        let number = *made;
        plan.faults.remove(&(call, number))
    }

    /// For calls that either fail or work.
    fn check(&self, call: Call) -> io::Result<()> {
        match self.next(call) {
            Some(Fault::Fail(kind) | Fault::ShortThenFail(_, kind)) => Err(kind.into()),
            Some(Fault::Short(_)) | None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory whose calls fail as planned.
#[derive(Debug)]
pub struct FaultyStorage {
    inner: DirectoryStorage,
    plan: FaultPlan,
}

impl FaultyStorage {
    /// A layer over `directory` that follows `plan`.
    pub fn new(directory: &Path, plan: FaultPlan) -> Self {
        Self { inner: DirectoryStorage::new(directory), plan }
    }

    fn wrap(&self, file: Arc<dyn SegmentFile>) -> Arc<dyn SegmentFile> {
        Arc::new(FaultyFile { inner: file, plan: self.plan.clone() })
    }
}

impl Storage for FaultyStorage {
    fn list_segments(&self) -> io::Result<Vec<u64>> {
        self.inner.list_segments()
    }

    fn open_segment(&self, first_sequence: u64, access: Access) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.wrap(self.inner.open_segment(first_sequence, access)?))
    }

    fn create_segment(&self, first_sequence: u64) -> io::Result<Arc<dyn SegmentFile>> {
        self.plan.check(Call::Create)?;
        Ok(self.wrap(self.inner.create_segment(first_sequence)?))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.plan.check(Call::SyncDirectory)?;
        self.inner.sync_directory()
    }

    fn segment_path(&self, first_sequence: u64) -> PathBuf {
        self.inner.segment_path(first_sequence)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn SegmentFile>,
    plan: FaultPlan,
}

impl SegmentFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.plan.check(Call::Read)?;
        self.inner.read_at(buffer, position)
    }

    fn append_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let first = |count: usize| &bytes[..count.min(bytes.len())];
        match self.plan.next(Call::Append) {
            None => self.inner.append_at(bytes, position),
            Some(Fault::Fail(kind)) => Err(kind.into()),
            Some(Fault::Short(count)) => self.inner.append_at(first(count), position),
            Some(Fault::ShortThenFail(count, kind)) => {
                self.inner.append_at(first(count), position)?;
                Err(kind.into())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.plan.check(Call::Sync)?;
        self.inner.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.plan.check(Call::Truncate)?;
        self.inner.truncate(length)
    }
}
