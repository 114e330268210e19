//! Removes snapshots that are no longer kept, and objects that no snapshot names.
//!
//! Owns rule 4 of the module above: the order of listing, and what an object must be to be removed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use object_store::path::Path as ObjectPath;
use settle_types::Timestamp;

use super::manifest::{MANIFESTS, Manifest, ManifestName, OBJECTS, generation_of};
use super::parallel::in_parallel;
use super::{SnapshotRepository, before, retention};
use crate::error::Error;

/// Manifests with their names, and the names of those that cannot be read.
type ReadManifests = (Vec<(ManifestName, Manifest)>, Vec<ManifestName>);

/// What a collection removed, and what there still is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Snapshots that were removed.
    pub manifests_removed: usize,
    /// Snapshots that are kept.
    pub manifests_kept: usize,
    /// Objects that were removed.
    pub objects_removed: usize,
    /// Bytes of the removed objects.
    pub bytes_removed: u64,
    /// Objects that are named by a snapshot, or too young to tell.
    pub objects_kept: usize,
}

/// What a collection has decided to remove.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    manifests: Vec<ObjectPath>,
    objects: Vec<ObjectPath>,
    counts: Collected,
    older_than: Timestamp,
}

impl SnapshotRepository {
    /// Removes the snapshots that are no longer kept, of all partitions, and the objects that none of the others
    /// names. `now` is the wall clock.
    ///
    /// Uploads, restores and other collections may run meanwhile, in any process. Nothing is removed if a
    /// manifest was written in another format or belongs to another application: what it names is not known.
    pub fn collect_garbage(&self, now: Timestamp) -> Result<Collected, Error> {
        let garbage = self.find_garbage(now)?;
        self.remove_garbage(&garbage)
    }

    pub(super) fn find_garbage(&self, now: Timestamp) -> Result<Garbage, Error> {
        let older_than = before(now, self.options.grace);
        // The objects first: a manifest that is written while they are listed is seen below.
        let objects = self.objects.list(&ObjectPath::from(OBJECTS))?.objects;
        let (names, damaged) = self.read_all_manifests()?;
        let damaged = damaged.into_iter().filter(|name| name.written_at < older_than);
        let mut manifests: Vec<ObjectPath> = damaged.map(|name| name.path).collect();

        let (names, manifests_read): (Vec<_>, Vec<_>) = names.into_iter().unzip();
        let paths: Vec<ObjectPath> = names.iter().map(|name| name.path.clone()).collect();
        let sorted = retention::sort_out(names, now, &self.options);
        let kept: HashSet<ObjectPath> = sorted.kept.into_iter().map(|name| name.path).collect();
        manifests.extend(sorted.expired.into_iter().map(|name| name.path));
        let mut named = HashSet::new();
        for (path, manifest) in paths.iter().zip(&manifests_read) {
            if kept.contains(path) {
                named.extend(manifest.files.iter().map(|file| file.object()));
            }
        }

        let mut garbage = Garbage { manifests, older_than, ..Garbage::default() };
        garbage.counts.manifests_kept = kept.len();
        for object in objects {
            let is_old = self.is_old_generation(&object.location, older_than)
                && object.last_modified.timestamp_micros() < older_than.as_micros();
            if is_old && !named.contains(&object.location) {
                garbage.counts.bytes_removed += object.size;
                garbage.objects.push(object.location);
            } else {
                garbage.counts.objects_kept += 1;
            }
        }
        garbage.counts.manifests_removed = garbage.manifests.len();
        garbage.counts.objects_removed = garbage.objects.len();
        Ok(garbage)
    }

    /// The manifests first: a restore must not begin with a snapshot whose objects are going.
    pub(super) fn remove_garbage(&self, garbage: &Garbage) -> Result<Collected, Error> {
        let remove = |path: &ObjectPath| self.objects.remove(path);
        in_parallel(self.options.concurrency, garbage.manifests.iter().collect(), remove)?;
        in_parallel(self.options.concurrency, garbage.objects.iter().collect(), remove)?;
        if let Some(directory) = self.objects.directory() {
            let objects = directory.join(OBJECTS);
            remove_unfinished(&objects, garbage.older_than)
                .map_err(|error| Error::from_io("remove unfinished uploads of", &objects, &error))?;
        }
        let Collected { manifests_removed, objects_removed, bytes_removed, .. } = garbage.counts;
        tracing::info!(
            manifests_removed,
            objects_removed,
            bytes_removed,
            "collected garbage of the snapshots"
        );
        Ok(garbage.counts)
    }

    /// True if no upload that may still run can rely on the object for its generation.
    fn is_old_generation(&self, object: &ObjectPath, older_than: Timestamp) -> bool {
        let Some(generation) = generation_of(object) else { return false };
        let ended_at = generation.saturating_add(self.options.upload_limit().as_secs());
        i64::try_from(ended_at)
            .is_ok_and(|seconds| seconds.saturating_mul(1_000_000) < older_than.as_micros())
    }

    /// Every manifest that can be read, and the names of those that are damaged.
    fn read_all_manifests(&self) -> Result<ReadManifests, Error> {
        let names = self.list_all_manifests()?;
        let read = in_parallel(self.options.concurrency, names, |name| match self.read_manifest(&name) {
            Ok(manifest) => Ok((name, Some(manifest))),
            Err(error @ Error::SnapshotDamaged { .. }) => {
                tracing::warn!(code = error.code(), %error, "a collection does not count this snapshot");
                Ok((name, None))
            }
            Err(error) => Err(error),
        })?;
        let (mut readable, mut damaged) = (Vec::new(), Vec::new());
        for (name, manifest) in read {
            match manifest {
                Some(manifest) => readable.push((name, manifest)),
                None => damaged.push(name),
            }
        }
        Ok((readable, damaged))
    }

    /// Stages, their partitions, and their journal topics are levels of the names.
    fn list_all_manifests(&self) -> Result<Vec<ManifestName>, Error> {
        let mut prefixes = vec![ObjectPath::from(MANIFESTS)];
        for _ in 0..3 {
            let list = |prefix: ObjectPath| self.objects.list(&prefix);
            let levels = in_parallel(self.options.concurrency, prefixes, list)?;
            prefixes = levels.into_iter().flat_map(|level| level.prefixes).collect();
        }
        let names = in_parallel(self.options.concurrency, prefixes, |prefix| {
            let objects = self.objects.list(&prefix)?.objects;
            Ok(objects.iter().filter_map(ManifestName::parse).collect::<Vec<_>>())
        })?;
        Ok(names.into_iter().flatten().collect())
    }
}

/// Where objects are files, one that was being written when its process ended has `#` and a number after its
/// name, and is in no list. Remote stores have rules of their own for unfinished uploads.
fn remove_unfinished(directory: &Path, older_than: Timestamp) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_unfinished =
            name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(object, number)| {
                generation_of(&ObjectPath::from(object)).is_some() && number.parse::<u64>().is_ok()
            });
        if is_unfinished && modified_micros(&entry)?.is_some_and(|micros| micros < older_than.as_micros()) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// None if the file is gone, or was changed before the epoch.
fn modified_micros(entry: &fs::DirEntry) -> io::Result<Option<i64>> {
    let modified = match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.modified()?,
    };
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).ok();
    Ok(since_epoch.and_then(|duration| i64::try_from(duration.as_micros()).ok()))
}
