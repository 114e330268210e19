//! Opens the state of a partition: the store on this disk, else a snapshot of it, else an empty one that is built from
//! the journal.
//!
//! Owns what is done about a store that cannot be used. Fetching a snapshot does not hold up the caller, who polls.

use std::path::{Path, PathBuf};
use std::{fs, io};

use settle_engine::FOLD_VERSION;
use settle_log::{Reader, TopicPartition};

use crate::codec::StageCodec;
use crate::error::Error;
use crate::partition::Partition;
use crate::snapshots::{Fetch, Fetched, Wanted, has_store};
use crate::worker::Shared;

/// What tells the journal of a stage from another topic that had its name; empty where the log has no such thing.
pub(crate) fn journal_identity<S: StageCodec>(shared: &Shared) -> Result<String, Error> {
    let found = shared.log.topic_settings(&[S::JOURNAL])?.into_iter().next();
    let found = found.ok_or_else(|| settle_log::Error::UnknownTopic { topic: S::JOURNAL.to_owned() })?;
    Ok(found.identity)
}

/// A partition's state on its way.
pub(crate) struct Opening {
    wanted: Wanted,
    folder: PathBuf,
    fetch: Option<Fetch>,
    /// The store that was here could not be used.
    has_begun_anew: bool,
}

impl Opening {
    /// Begins with what there is on this disk; without a store, with the newest snapshot.
    pub(crate) fn begin<S: StageCodec>(shared: &Shared, number: u32, journal_identity: String) -> Self {
        let folder = shared.options.state_directory.join(S::NAME).join(number.to_string());
        let wanted =
            Wanted { stage: S::NAME, partition: number, fold_version: FOLD_VERSION, journal_identity };
        let mut opening = Self { wanted, folder, fetch: None, has_begun_anew: false };
        if !has_store(&opening.folder) {
            opening.fetch_snapshot(shared);
        }
        opening
    }

    fn fetch_snapshot(&mut self, shared: &Shared) {
        let (wanted, folder) = (self.wanted.clone(), self.folder.clone());
        self.fetch = shared.snapshots.as_ref().map(|snapshots| snapshots.fetch(wanted, folder));
    }

    /// The state, or none while a snapshot is being fetched. What the journal has to be asked for goes through `reader`.
    pub(crate) fn poll<S: StageCodec>(
        &mut self,
        shared: &Shared,
        reader: &mut Option<Box<dyn Reader>>,
    ) -> Result<Option<Box<Partition<S>>>, Error> {
        loop {
            if let Some(fetch) = &self.fetch {
                let Some(fetched) = fetch.poll() else { return Ok(None) };
                self.fetch = None;
                if let Fetched::None { another_journal: Some(stored) } = fetched? {
                    self.refuse_empty_journal::<S>(shared.reader(reader)?, stored)?;
                }
            }
            if let Some(partition) = self.open(shared, reader)? {
                return Ok(Some(partition));
            }
        }
    }

    /// The store that is here now; none if it cannot be used and another is on its way.
    fn open<S: StageCodec>(
        &mut self,
        shared: &Shared,
        reader: &mut Option<Box<dyn Reader>>,
    ) -> Result<Option<Box<Partition<S>>>, Error> {
        let journal = TopicPartition::new(S::JOURNAL, self.wanted.partition);
        let store =
            match settle_store::open::<S::Row>(&self.folder, &shared.resources, self.wanted.identity()) {
                Ok(store) => store,
                Err(error) if error.is_cured_by_rebuild() && !self.has_begun_anew => {
                    let is_whole = shared.reader(reader)?.start_offset(&journal)? == 0;
                    self.begin_anew::<S>(shared, &journal, is_whole, error)?;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
        if let Some(snapshots) = &shared.snapshots {
            let next = store.progress().map_or(0, |progress| progress.journal_next_offset);
            let start = shared.reader(reader)?.start_offset(&journal)?;
            if start > next && next > 0 && !self.has_begun_anew {
                tracing::warn!(%journal, start, next, "the journal begins after the store: a snapshot takes its place");
                drop(store);
                self.set_aside()?;
                self.fetch_snapshot(shared);
                self.has_begun_anew = true;
                return Ok(None);
            }
            snapshots.note(self.wanted.clone());
        }
        let identity = self.wanted.journal_identity.clone();
        let partition = Partition::new(self.wanted.partition, store, identity, shared.clock.monotonic())?;
        Ok(Some(Box::new(partition)))
    }

    /// A store that this build cannot read, or that is damaged, is built again: from a snapshot, or from the journal as
    /// long as that is whole.
    fn begin_anew<S: StageCodec>(
        &mut self,
        shared: &Shared,
        journal: &TopicPartition,
        is_whole: bool,
        error: settle_store::Error,
    ) -> Result<(), Error> {
        if !is_whole && shared.snapshots.is_none() {
            return Err(error.into());
        }
        tracing::warn!(%journal, %error, "the store is built again");
        if is_whole {
            settle_store::destroy::<S::Row>(&self.folder, &shared.resources)?;
        } else {
            self.set_aside()?;
        }
        self.fetch_snapshot(shared);
        self.has_begun_anew = true;
        Ok(())
    }

    /// Moves the store out of the way. It stays until the next one is moved there: there may be no snapshot, and an
    /// older build may be able to read it.
    fn set_aside(&self) -> Result<(), Error> {
        let aside = self.folder.with_extension("unusable");
        let moved = remove_if_there(&aside).and_then(|()| fs::rename(&self.folder, &aside));
        moved.map_err(|source| Error::StateFolder { folder: self.folder.clone(), source })
    }

    /// An empty journal under which there were snapshots of another topic: it was deleted and made anew, and deciding
    /// from the beginning would pay twice.
    fn refuse_empty_journal<S: StageCodec>(
        &self,
        reader: &mut dyn Reader,
        stored: String,
    ) -> Result<(), Error> {
        let journal = TopicPartition::new(S::JOURNAL, self.wanted.partition);
        if reader.end_offset(&journal)? > 0 {
            return Ok(());
        }
        let found = self.wanted.journal_identity.clone();
        Err(Error::JournalReplaced { partition: journal, stored, found })
    }
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
