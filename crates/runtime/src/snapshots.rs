//! Snapshots of the stores of this process: made from checkpoints in the background, fetched for partitions that have
//! no store here.
//!
//! Owns the two threads that talk to the object store, so that no worker waits for it. Must not know what a worker
//! does: it is handed checkpoints and folders. How snapshots are kept is `settle-store`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use settle_store::{Checkpoint, Error, Identity, SnapshotRepository};

use crate::clock::{WallClock, monotonic_now};
use crate::metrics::{self, gauge_value};

/// The snapshots of a process. Its threads end with it; what is being sent then is not a snapshot.
pub struct Snapshots {
    interval: Duration,
    scratch: PathBuf,
    next_scratch: AtomicU64,
    is_sending: Arc<AtomicBool>,
    sent: Arc<Sent>,
    uploads: Sender<Upload>,
    requests: Sender<Request>,
}

/// By stage and partition, what the newest snapshot that arrived contains: everything before this offset of the journal.
#[derive(Debug, Default)]
struct Sent(Mutex<BTreeMap<(&'static str, u32), u64>>);

impl Sent {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, u32), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, stage: &'static str, partition: u32, journal_next_offset: u64) {
        self.lock().insert((stage, partition), journal_next_offset);
    }

    fn has(&self, stage: &'static str, partition: u32, journal_next_offset: u64) -> bool {
        self.lock().get(&(stage, partition)) == Some(&journal_next_offset)
    }
}

struct Upload {
    stage: &'static str,
    partition: u32,
    checkpoint: Checkpoint,
    began: Instant,
}

/// A partition whose snapshots are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) stage: &'static str,
    pub(crate) partition: u32,
    pub(crate) fold_version: i32,
    pub(crate) journal_identity: String,
}

impl Wanted {
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity { stage: self.stage, partition: self.partition, fold_version: self.fold_version }
    }
}

enum Request {
    /// Fetch the newest one into a folder.
    Fetch { wanted: Wanted, folder: PathBuf, answer: Sender<Result<Fetched, Error>> },
    /// Say in metrics how old the newest one is.
    Note(Wanted),
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The folder has a store now, or had one already.
    Store,
    /// There is no snapshot. If there are some of another journal topic: its identity.
    None { another_journal: Option<String> },
}

/// A fetch under way.
pub(crate) struct Fetch {
    answer: Receiver<Result<Fetched, Error>>,
}

impl Fetch {
    /// What came of it; none if it is under way still.
    pub(crate) fn poll(&self) -> Option<Result<Fetched, Error>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let what = "the thread that fetches snapshots has ended".to_owned();
                Some(Err(Error::InvalidOptions { what }))
            }
        }
    }
}

/// The right to make one checkpoint and have it sent: the next comes after its upload.
pub(crate) struct Permit<'a> {
    snapshots: &'a Snapshots,
    is_used: bool,
}

impl Permit<'_> {
    /// A folder for the checkpoint; it does not exist.
    pub(crate) fn folder(&self) -> PathBuf {
        let number = self.snapshots.next_scratch.fetch_add(1, Ordering::Relaxed);
        self.snapshots.scratch.join(number.to_string())
    }

    /// Has the checkpoint sent in the background.
    pub(crate) fn send(
        mut self,
        stage: &'static str,
        partition: u32,
        checkpoint: Checkpoint,
        began: Instant,
    ) {
        let upload = Upload { stage, partition, checkpoint, began };
        self.is_used = self.snapshots.uploads.send(upload).is_ok();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.snapshots.is_sending.store(false, Ordering::Release);
        }
    }
}

impl Snapshots {
    /// Starts the threads. `interval` is the time between two snapshots of a partition. `scratch` is a folder on the
    /// file system of the stores, for this process alone: it is emptied, for a process that was killed leaves
    /// checkpoints there.
    ///
    /// # Errors
    /// If the folder cannot be emptied or a thread not be started.
    pub fn start(
        repository: SnapshotRepository,
        interval: Duration,
        scratch: PathBuf,
        clock: Arc<dyn WallClock>,
    ) -> io::Result<Self> {
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&scratch)?,
        }
        let repository = Arc::new(repository);
        let is_sending = Arc::new(AtomicBool::new(false));
        let sent = Arc::<Sent>::default();
        let (uploads, to_send) = channel();
        let (requests, to_answer) = channel();
        let sender = Uploader {
            repository: Arc::clone(&repository),
            clock: Arc::clone(&clock),
            interval,
            is_sending: Arc::clone(&is_sending),
            sent: Arc::clone(&sent),
            collected_at: monotonic_now(),
        };
        thread::Builder::new().name("settle-snapshots".to_owned()).spawn(move || sender.run(&to_send))?;
        thread::Builder::new()
            .name("settle-fetches".to_owned())
            .spawn(move || answer_all(&repository, &to_answer))?;
        Ok(Self { interval, scratch, next_scratch: AtomicU64::new(0), is_sending, sent, uploads, requests })
    }

    /// Time between two snapshots of a partition.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// The right to make the next snapshot; none while one is being sent.
    pub(crate) fn permit(&self) -> Option<Permit<'_>> {
        let is_free =
            self.is_sending.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        is_free.then_some(Permit { snapshots: self, is_used: false })
    }

    /// True if a snapshot that arrived contains the journal up to here, so that another one would bring nothing.
    pub(crate) fn has(&self, stage: &'static str, partition: u32, journal_next_offset: u64) -> bool {
        self.sent.has(stage, partition, journal_next_offset)
    }

    /// Begins to fetch the newest snapshot of a partition into its folder. A folder that has something in it is left
    /// as it is.
    pub(crate) fn fetch(&self, wanted: Wanted, folder: PathBuf) -> Fetch {
        let (answer, answered) = channel();
        // If the thread has ended, the answer's other end is dropped, and the fetch says so.
        let _ = self.requests.send(Request::Fetch { wanted, folder, answer });
        Fetch { answer: answered }
    }

    /// Has metrics say when the newest snapshot of a partition was made, whoever made it.
    pub(crate) fn note(&self, wanted: Wanted) {
        let _ = self.requests.send(Request::Note(wanted));
    }
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Snapshots").field("interval", &self.interval).finish_non_exhaustive()
    }
}

struct Uploader {
    repository: Arc<SnapshotRepository>,
    clock: Arc<dyn WallClock>,
    interval: Duration,
    is_sending: Arc<AtomicBool>,
    sent: Arc<Sent>,
    collected_at: Instant,
}

impl Uploader {
    fn run(mut self, to_send: &Receiver<Upload>) {
        while let Ok(upload) = to_send.recv() {
            self.upload(upload);
            self.is_sending.store(false, Ordering::Release);
            self.collect_garbage_now_and_then();
        }
    }

    fn upload(&self, upload: Upload) {
        let Upload { stage, partition, checkpoint, began } = upload;
        match self.repository.upload(checkpoint, self.clock.now()) {
            Ok(uploaded) => {
                let journal_next_offset = uploaded.manifest.journal_next_offset;
                self.sent.note(stage, partition, journal_next_offset);
                metrics::snapshots_total(stage).increment(1);
                let files = u64::try_from(uploaded.files_sent).unwrap_or(u64::MAX);
                metrics::snapshot_uploads_total(stage).increment(files);
                metrics::snapshot_uploaded_bytes_total(stage).increment(uploaded.bytes_sent);
                metrics::snapshot_duration_seconds(stage).record(began.elapsed());
                completed(stage, partition, self.clock.now());
                tracing::info!(
                    stage,
                    partition,
                    journal_next_offset,
                    files_sent = uploaded.files_sent,
                    bytes_sent = uploaded.bytes_sent,
                    "a snapshot was made"
                );
            }
            Err(error) => {
                metrics::snapshot_failures_total(stage).increment(1);
                tracing::warn!(stage, partition, code = error.code(), %error, "a snapshot failed; the next one begins anew");
            }
        }
    }

    /// Every process does, and none needs to: it may run at the same time in several.
    fn collect_garbage_now_and_then(&mut self) {
        if self.collected_at.elapsed() < self.interval {
            return;
        }
        self.collected_at = monotonic_now();
        match self.repository.collect_garbage(self.clock.now()) {
            Ok(collected) => tracing::debug!(?collected, "old snapshots were removed"),
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "old snapshots could not be removed; the next one tries again");
            }
        }
    }
}

fn answer_all(repository: &SnapshotRepository, to_answer: &Receiver<Request>) {
    while let Ok(request) = to_answer.recv() {
        match request {
            Request::Fetch { wanted, folder, answer } => {
                // Whoever asked may have given the partition up meanwhile.
                let _ = answer.send(fetch(repository, &wanted, &folder));
            }
            Request::Note(wanted) => note(repository, &wanted),
        }
    }
}

fn fetch(repository: &SnapshotRepository, wanted: &Wanted, folder: &Path) -> Result<Fetched, Error> {
    if has_store(folder) {
        return Ok(Fetched::Store);
    }
    let (identity, journal) = (wanted.identity(), wanted.journal_identity.as_str());
    if repository.restore_newest(identity, journal, folder)?.is_some() {
        return Ok(Fetched::Store);
    }
    Ok(Fetched::None { another_journal: repository.another_journal(identity, journal)? })
}

/// True if there is anything in a store's folder.
pub(crate) fn has_store(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn note(repository: &SnapshotRepository, wanted: &Wanted) {
    match repository.kept(wanted.identity(), &wanted.journal_identity) {
        Ok(kept) => {
            if let Some(newest) = kept.first() {
                completed(wanted.stage, wanted.partition, newest.written_at);
            }
        }
        Err(error) => {
            tracing::warn!(?wanted, code = error.code(), %error, "the snapshots of a partition could not be listed");
        }
    }
}

fn completed(stage: &'static str, partition: u32, at: settle_types::Timestamp) {
    let seconds = u64::try_from(at.as_millis()).unwrap_or_default() / 1_000;
    metrics::snapshot_completed_timestamp_seconds(stage, partition).set(gauge_value(seconds));
}

/// When each partition of a worker had its last turn.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    last: BTreeMap<u32, Instant>,
}

impl Schedule {
    /// The partition that has waited longest, of those that have waited for an interval.
    pub(crate) fn most_overdue(&mut self, owned: &[u32], interval: Duration, moment: Instant) -> Option<u32> {
        self.last.retain(|number, _| owned.contains(number));
        for number in owned {
            self.last.entry(*number).or_insert(moment);
        }
        let overdue =
            self.last.iter().filter(|(_, last)| moment.saturating_duration_since(**last) >= interval);
        overdue.min_by_key(|(_, last)| **last).map(|(number, _)| *number)
    }

    /// Notes a turn.
    pub(crate) fn begin(&mut self, number: u32, moment: Instant) {
        self.last.insert(number, moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_turn_when_it_has_waited() {
        let mut schedule = Schedule::default();
        let start = monotonic_now();
        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let hour = Duration::from_secs(3_600);
        assert_eq!(schedule.most_overdue(&[1, 2], hour, start), None, "both are new");
        assert_eq!(schedule.most_overdue(&[1, 2], hour, after(60)), Some(1));
        schedule.begin(1, after(60));
        assert_eq!(schedule.most_overdue(&[1, 2], hour, after(61)), Some(2), "1 has had its turn");
        schedule.begin(2, after(61));
        assert_eq!(schedule.most_overdue(&[1, 2], hour, after(62)), None);
        schedule.begin(1, after(180));
        assert_eq!(schedule.most_overdue(&[2], hour, after(200)), Some(2), "1 was given up");
    }
}
