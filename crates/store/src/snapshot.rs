//! Snapshots of a store in an object store, and the way back.
//!
//! Owns how a copy of a partition's files is named, kept, found again, checked and collected. Must not know
//! what is in the files, when a snapshot is due, or what time it is: the caller says so.
//!
//! - `objects/{BLAKE3 of the content}-{generation}`: the content of one file. It is written once. A file that an
//!   earlier snapshot has is not sent again: table files never change.
//! - `manifests/{stage}/{partition}/{journal topic}/{offset}-{fold version}-{checksum}.json`: what one snapshot
//!   is made of. It is written last and only if there is none of this name, so a snapshot is there as a whole or
//!   not at all, and two processes that upload the same partition do each other no harm.
//!
//! **Uploads and garbage collections need no lock.** They race in one way: an upload relies on an object that was
//! there, and a collection that did not see the upload's manifest removes it. Four rules exclude that, all over
//! one time, the *grace period* G:
//!
//! 1. An upload ends within G/4 of its beginning, or gives up without a manifest.
//! 2. An upload relies on two kinds of objects only: those of its own generation, the quarter of G in which it
//!    began, and those that the newest `keep` manifests of its line name as it begins.
//! 3. A collection removes a manifest once `keep` newer ones of its line are each older than G: so not while an
//!    upload that found it among the newest can still run, nor a restore that began less than G ago.
//! 4. A collection lists objects first and manifests after, and removes objects that are older than G, of a
//!    generation older than G, and named by no manifest. A generation that is gone never comes back, so a
//!    collection that was held up for hours removes nothing that was written since.
//!
//! What follows from them is in docs/snapshots.md, with what the clocks of the processes must keep to.

mod checkpoint;
mod driver;
mod garbage;
mod hashes;
mod location;
mod manifest;
mod objects;
mod options;
mod parallel;
mod restore;
mod retention;
mod staging;
mod upload;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod testing;

pub use checkpoint::Checkpoint;
pub use garbage::Collected;
pub use manifest::{ContentHash, MANIFEST_VERSION, Manifest, SnapshotFile};
pub use options::{S3Options, SnapshotOptions};
pub use retention::KeptSnapshot;
pub use upload::Uploaded;

use crate::error::Error;
use crate::progress::Identity;
use hashes::HashCache;
use manifest::{Line, ManifestName};
use objects::Objects;
use settle_types::Timestamp;

/// Where the snapshots of an application are kept.
///
/// Every function blocks the calling thread until it has ended. They may be called from several threads at once,
/// but not from one that runs asynchronous tasks: that panics.
pub struct SnapshotRepository {
    objects: Objects,
    options: SnapshotOptions,
    hashes: HashCache,
}

impl SnapshotRepository {
    /// Opens the repository at this location:
    ///
    /// - `file:///directory`, which is created if it is not there; the path is taken as it stands;
    /// - `s3://bucket/prefix`, with `options.s3` over the environment variables `AWS_*`;
    /// - `gs://bucket/prefix`, with the environment variables `GOOGLE_*` (cargo feature `gcs`);
    /// - `az://container/prefix`, with the environment variables `AZURE_*` (cargo feature `azure`).
    ///
    /// Nothing is asked of a remote store yet. Fails with [`Error::InvalidSnapshotLocation`],
    /// [`Error::SnapshotStoreNotBuilt`], or [`Error::InvalidOptions`].
    pub fn open(location: &str, options: SnapshotOptions) -> Result<Self, Error> {
        options.check()?;
        let place = location::connect(location, &options.s3)?;
        let objects = Objects::new(place, driver::Driver::start()?);
        Ok(Self { objects, options, hashes: HashCache::default() })
    }

    /// The newest snapshot of this partition whose manifest can be read, made by this fold version from this
    /// journal topic.
    ///
    /// Manifests that are damaged, or written in another format, are passed over with a warning; an error
    /// is returned if there are no others.
    pub fn latest(&self, identity: Identity<'_>, topic_identity: &str) -> Result<Option<Manifest>, Error> {
        let mut first_damage = None;
        for name in self.newest_first(&Line::new(identity, topic_identity))? {
            match self.read_manifest(&name) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(error) => pass_over(error, &mut first_damage)?,
            }
        }
        first_damage.map_or(Ok(None), Err)
    }

    /// The snapshots of this partition, fold version and journal topic, newest first.
    ///
    /// The journal has to reach back twice as far as the last of them is old.
    pub fn kept(&self, identity: Identity<'_>, topic_identity: &str) -> Result<Vec<KeptSnapshot>, Error> {
        let names = self.newest_first(&Line::new(identity, topic_identity))?;
        Ok(names.iter().map(KeptSnapshot::of).collect())
    }

    /// Another journal topic of this partition that snapshots were made from, if there is one: the journal of this
    /// name was made anew.
    pub fn another_journal(
        &self,
        identity: Identity<'_>,
        topic_identity: &str,
    ) -> Result<Option<String>, Error> {
        let own = Line::new(identity, topic_identity).directory();
        let lines = self.objects.list(&Line::directory_of_all(identity))?;
        let other = lines.prefixes.iter().find(|line| **line != own);
        Ok(other.and_then(|line| line.filename()).map(str::to_owned))
    }

    fn newest_first(&self, line: &Line) -> Result<Vec<ManifestName>, Error> {
        let level = self.objects.list(&line.directory())?;
        let names = level.objects.iter().filter_map(ManifestName::parse);
        let mut names: Vec<_> = names.filter(|name| name.fold_version == line.fold_version).collect();
        retention::sort_newest_first(&mut names);
        Ok(names)
    }

    fn read_manifest(&self, name: &ManifestName) -> Result<Manifest, Error> {
        let place = self.objects.place_of(&name.path);
        let Some(bytes) = self.objects.get(&name.path)? else {
            return Err(Error::SnapshotDamaged { object: place, detail: "it is gone".to_owned() });
        };
        let manifest = Manifest::decode(&place, &bytes)?;
        self.check_application(&place, &manifest)?;
        if manifest.path(&manifest.checksum()) != name.path {
            let detail = "it belongs under another name".to_owned();
            return Err(Error::SnapshotDamaged { object: place, detail });
        }
        Ok(manifest)
    }

    fn check_application(&self, place: &str, manifest: &Manifest) -> Result<(), Error> {
        if manifest.application == self.options.application {
            return Ok(());
        }
        Err(Error::SnapshotOfAnother {
            object: place.to_owned(),
            found: manifest.application.clone(),
            expected: self.options.application.clone(),
        })
    }
}

/// Warns of a snapshot that cannot be used, so that an older one is tried; hands back every other error.
fn pass_over(error: Error, first_damage: &mut Option<Error>) -> Result<(), Error> {
    if !error.is_cured_by_an_older_snapshot() {
        return Err(error);
    }
    tracing::warn!(code = error.code(), %error, "a snapshot cannot be used; trying an older one");
    first_damage.get_or_insert(error);
    Ok(())
}

impl std::fmt::Debug for SnapshotRepository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SnapshotRepository").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The time so long before `now`.
fn before(now: Timestamp, duration: settle_types::Duration) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_sub(duration.as_micros()))
}
