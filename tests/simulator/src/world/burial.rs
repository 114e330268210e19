//! The end of a process: what a kill leaves of its stores, and when another start may have them.

use std::fs;
use std::path::Path;

use super::{Stores, World};
use crate::process::Status;

impl World {
    /// Kills a process. Calls of it that are under way end as soon as they return to the world.
    pub(crate) fn kill(&self, handle: u64, loses_disk: bool) {
        let killed = self.with(handle, |incarnation| {
            if incarnation.status == Status::Gone {
                return None;
            }
            incarnation.status = Status::Gone;
            incarnation.loses_disk = loses_disk;
            let workers = std::mem::take(&mut incarnation.workers);
            incarnation.busy += 1;
            Some((incarnation.ordinal, incarnation.is_replaced, incarnation.directory.clone(), workers))
        });
        let Some((ordinal, is_replaced, directory, workers)) = killed.flatten() else { return };
        match &self.stores {
            Stores::Memory(stores) => stores.begin_crash(&directory),
            // Before its workers go away, which would flush.
            Stores::RocksDb => copy_tree(&directory, &image_of(&directory)),
        }
        self.count_named("LostMemtable");
        self.cluster.kill(handle);
        drop(workers);
        self.with(handle, |incarnation| incarnation.busy -= 1);
        if !is_replaced && !self.lock().is_journal_damaged {
            self.restart_later(ordinal);
        }
        self.bury(handle);
    }

    /// When nothing of a process that is gone runs any more, its disk is as the kill left it.
    pub(super) fn bury(&self, handle: u64) {
        let gone = self.with(handle, |incarnation| {
            let is_due = incarnation.status == Status::Gone
                && incarnation.busy == 0
                && incarnation.workers.iter().all(Option::is_none)
                && !incarnation.is_buried;
            incarnation.is_buried |= is_due;
            is_due.then(|| (incarnation.directory.clone(), incarnation.loses_disk))
        });
        let Some((directory, loses_disk)) = gone.flatten() else { return };
        match &self.stores {
            Stores::Memory(stores) => {
                stores.end_crash(&directory);
                if loses_disk {
                    stores.wipe(&directory);
                }
            }
            Stores::RocksDb => {
                let image = image_of(&directory);
                if image.exists() {
                    let _ = fs::remove_dir_all(&directory);
                    fs::rename(&image, &directory).expect("a folder of the run can be moved");
                }
                if loses_disk {
                    let _ = fs::remove_dir_all(&directory);
                }
            }
        }
    }
}

fn image_of(directory: &Path) -> std::path::PathBuf {
    directory.with_extension("killed")
}

/// What a kill at this moment leaves. Files that name others come first: what is named is there.
fn copy_tree(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder of the run can be made");
    let Ok(entries) = fs::read_dir(from) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(|entry| {
        let path = entry.path();
        (path.extension().is_some_and(|extension| extension == "sst"), path)
    });
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else if entry.file_name() != "LOCK" {
            // A file that was deleted meanwhile is named by nothing that was copied before.
            let _ = fs::copy(&path, &target);
        }
    }
}
