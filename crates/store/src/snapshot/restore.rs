//! From a snapshot to a store's directory.
//!
//! Owns that only files with the right content get there: each is hashed while it is written, and the directory
//! appears when all of them are durable.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::manifest::{ContentHash, Line, Manifest, SnapshotFile};
use super::parallel::in_parallel;
use super::staging::Staging;
use super::{SnapshotRepository, pass_over};
use crate::error::Error;
use crate::progress::Identity;

impl SnapshotRepository {
    /// Puts the files of a snapshot into this directory, which must be absent or empty, and which appears as a
    /// whole or not at all.
    ///
    /// Fails with [`Error::SnapshotDamaged`], which names the object, if one is missing or not what it should be.
    pub fn restore(&self, manifest: &Manifest, directory: &Path) -> Result<(), Error> {
        let checksum = manifest.checksum();
        self.check_application(&self.objects.place_of(&manifest.path(&checksum)), manifest)?;
        let staging = Staging::claim(directory)?;
        let failed = |error: &io::Error| Error::from_io("restore", directory, error);
        in_parallel(self.options.concurrency, manifest.files.iter().collect(), |file| {
            let path = staging.path().join(&file.name);
            let mut target = File::create_new(path).map_err(|error| failed(&error))?;
            self.fetch(file, |content| target.write_all(content).map_err(|error| failed(&error)))?;
            target.sync_all().map_err(|error| failed(&error))
        })?;
        staging.publish()?;
        tracing::info!(
            stage = manifest.stage,
            partition = manifest.partition,
            journal_next_offset = manifest.journal_next_offset,
            files = manifest.files.len(),
            bytes = manifest.total_bytes(),
            "restored a snapshot"
        );
        Ok(())
    }

    /// Restores the newest snapshot of this partition that is whole, made by this fold version from this journal
    /// topic, and says which one it was; none if there is no snapshot.
    ///
    /// One that is damaged is passed over with a warning. If all are, the error of the newest is returned: that
    /// is not the same as none.
    pub fn restore_newest(
        &self,
        identity: Identity<'_>,
        topic_identity: &str,
        directory: &Path,
    ) -> Result<Option<Manifest>, Error> {
        let mut first_damage = None;
        for name in self.newest_first(&Line::new(identity, topic_identity))? {
            let restored = self.read_manifest(&name).and_then(|manifest| {
                self.restore(&manifest, directory)?;
                Ok(manifest)
            });
            match restored {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(error) => pass_over(error, &mut first_damage)?,
            }
        }
        first_damage.map_or(Ok(None), Err)
    }

    /// Fetches every file of a snapshot, checks it, and keeps nothing.
    pub fn verify(&self, manifest: &Manifest) -> Result<(), Error> {
        let files = manifest.files.iter().collect();
        in_parallel(self.options.concurrency, files, |file| self.fetch(file, |_| Ok(()))).map(drop)
    }

    /// Hands the content of a file on in order, and fails at its end if it was not the right one.
    fn fetch(
        &self,
        file: &SnapshotFile,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let object = file.object();
        let damaged =
            |detail: String| Error::SnapshotDamaged { object: self.objects.place_of(&object), detail };
        let part_bytes = u64::try_from(self.options.part_bytes).expect("a size fits 64 bits");
        let mut hasher = blake3::Hasher::new();
        let mut position = 0;
        while position < file.size {
            let end = file.size.min(position.saturating_add(part_bytes));
            let content = match self.objects.get_range(&object, position..end) {
                Ok(Some(content)) => content,
                Ok(None) => return Err(damaged(format!("it is missing; it has {}", file.name))),
                // A range beyond the end of an object is an error like any other.
                Err(error) => match self.objects.size(&object)? {
                    Some(size) if size < end => {
                        return Err(damaged(format!("it has {size} bytes instead of {}", file.size)));
                    }
                    _ => return Err(error),
                },
            };
            if content.is_empty() {
                return Err(damaged(format!("it ends after {position} bytes of {}", file.size)));
            }
            hasher.update(&content);
            take(&content)?;
            position = position.saturating_add(u64::try_from(content.len()).expect("a length fits 64 bits"));
        }
        if ContentHash::new(hasher.finalize()) == file.hash {
            return Ok(());
        }
        Err(damaged(format!("its content is not that of {}", file.name)))
    }
}
