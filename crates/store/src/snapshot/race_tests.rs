//! Uploads, restores and collections of several processes at once: the rules of the module above.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use settle_types::Timestamp;

use super::SnapshotFile;
use super::testing::{GRACE_MINUTES, KEEP, Site, is_table, step};
use super::upload::TimeLimit;
use crate::StateStore;
use crate::testing::{IDENTITY, contents};

#[test]
fn what_no_snapshot_names_stays_for_the_grace_period() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let repository = site.repository();
    step(&mut store, 1, "a");
    let kept = site.upload(&repository, &mut store).manifest;
    step(&mut store, 2, "a");
    let torn = site.checkpoint(&mut store);
    site.send(&repository, &torn);
    let left = site.objects().last().expect("there are objects").display().to_string() + "#1";
    fs::write(&left, "unfinished").expect("it is written");
    fs::write(site.path("repository/objects/README"), "not ours").expect("it is written");
    site.stamp();
    let before = site.objects().len();

    site.pass_minutes(GRACE_MINUTES);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.objects_removed, site.objects().len()), (0, before), "exactly as old is too young");
    // Their generation began with them, and ends a quarter of the grace period later.
    site.pass_minutes(GRACE_MINUTES / 4);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!(collected.objects_removed, 0, "of a generation that is too young");
    site.pass_minutes(1);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert!(collected.objects_removed >= 2 && collected.bytes_removed > 0, "{collected:?}");
    assert_eq!((collected.manifests_kept, collected.objects_kept), (1, kept.files.len() + 1));
    assert_eq!(site.objects().len(), kept.files.len() + 1, "the snapshot's, and what is not ours");
    assert!(!fs::exists(&left).expect("it can be looked for"));
    repository.verify(&kept).expect("it is whole");
}

#[test]
fn old_snapshots_go_and_the_kept_stay_whole() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let repository = site.repository();
    let mut snapshots = Vec::new();
    for number in 1..=12 {
        step(&mut store, number, "a");
        if number % 4 == 0 {
            // New tables take the place of the old.
            store.collect_expired().expect("it compacts");
        }
        let manifest = site.upload(&repository, &mut store).manifest;
        snapshots.push((manifest, contents(&store, Timestamp::MIN)));
        site.pass_minutes(2 * GRACE_MINUTES);
        repository.collect_garbage(site.now).expect("it ends");
        let kept = repository.kept(IDENTITY, "").expect("it can be listed");
        assert_eq!(kept.len(), KEEP.min(snapshots.len()));
        let named = snapshots.iter().rev().take(KEEP).flat_map(|(manifest, _)| &manifest.files);
        let mut named: Vec<_> = named.map(|file| file.object()).collect();
        named.sort();
        named.dedup();
        assert_eq!(site.objects().len(), named.len(), "step {number}: nothing else is left");
    }
    for (manifest, contents) in snapshots.iter().rev().take(KEEP) {
        assert_eq!(&site.restored(&repository, manifest), contents);
    }
}

/// A collection has decided what to remove and is held up. Meanwhile an upload begins whose files are among that.
#[test]
fn a_collection_that_was_held_up_takes_nothing_from_a_later_upload() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let repository = site.repository();
    step(&mut store, 1, "a");
    let lost = site.checkpoint(&mut store);
    site.send(&repository, &lost);
    site.stamp();
    site.pass_minutes(2 * GRACE_MINUTES);
    let garbage = repository.find_garbage(site.now).expect("it ends");

    // The same files, so the same hashes.
    let uploaded = site.repository().upload(lost, site.now).expect("the upload ends");
    assert!(uploaded.files_sent > 0);
    let other = repository.collect_garbage(site.now).expect("another collection ends");
    assert!(other.objects_removed > 0, "there was garbage");
    let second = site.upload(&site.repository(), &mut store);
    site.pass_minutes(600);
    repository.remove_garbage(&garbage).expect("the first collection goes on");
    let expected = contents(&store, Timestamp::MIN);
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
    assert_eq!(site.restored(&repository, &second.manifest), expected);
}

/// An upload relies on the newest snapshot. While it runs, other processes write newer ones, which push that out.
#[test]
fn what_an_upload_relies_on_is_not_pushed_out_while_it_runs() {
    let mut site = Site::new();
    let (mut store, mut other) = (site.open("store"), site.open("other"));
    let repository = site.repository();
    step(&mut store, 1, "a");
    let first = site.upload(&repository, &mut store).manifest;
    site.pass_minutes(10 * GRACE_MINUTES);
    step(&mut store, 2, "a");
    let slow = site.checkpoint(&mut store);
    let expected = contents(&store, Timestamp::MIN);
    // It looks for what it may rely on as it begins, and is slow from then on.
    let sent = site.send(&repository, &slow);
    site.stamp();
    for number in 10..20 {
        step(&mut other, number, "b");
        site.upload(&site.repository(), &mut other);
    }
    site.pass_minutes(GRACE_MINUTES / 4);
    let collected = site.repository().collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.manifests_removed, collected.objects_removed), (0, 0));
    let time = TimeLimit::start(Duration::from_secs(900));
    let uploaded = repository.write_manifest(&slow, sent, time).expect("the upload ends");
    let is_old_table = |file: &&SnapshotFile| is_table(&file.name) && first.files.contains(file);
    assert_eq!(uploaded.manifest.files.iter().filter(is_old_table).count(), 1, "it relies on the first");
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);

    // Later they may go.
    site.stamp();
    site.pass_minutes(2 * GRACE_MINUTES);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!(collected.manifests_kept, KEEP);
    assert_eq!(repository.kept(IDENTITY, "").expect("it can be listed")[0].journal_next_offset, 19);
}

/// The clock of a process is hours behind, so that its generations look old: the object store's clock counts too.
#[test]
fn what_a_process_with_a_late_clock_has_just_sent_stays() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let checkpoint = site.checkpoint(&mut store);
    site.send(&repository, &checkpoint);
    site.pass_minutes(5 * GRACE_MINUTES);
    site.stamp();
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.objects_removed, collected.objects_kept), (0, site.objects().len()));
    site.pass_minutes(GRACE_MINUTES + 1);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.objects_kept, site.objects().len()), (0, 0));
}

/// A snapshot that newer ones are about to push out is nothing to rely on.
#[test]
fn an_upload_relies_on_the_newest_snapshots_only() {
    for (newer, is_relied_on) in [(KEEP - 1, true), (KEEP, false)] {
        let mut site = Site::new();
        let (mut store, mut other) = (site.open("store"), site.open("other"));
        let repository = site.repository();
        step(&mut store, 1, "a");
        let first = site.upload(&repository, &mut store).manifest;
        site.pass_minutes(GRACE_MINUTES / 2);
        for _ in 0..newer {
            let next = other.progress().map_or(10, |progress| progress.journal_next_offset + 1);
            step(&mut other, u32::try_from(next).expect("it is small"), "b");
            site.upload(&repository, &mut other);
        }
        let again = site.upload(&repository, &mut store).manifest;
        let relies = |file: &SnapshotFile| is_table(&file.name) && first.files.contains(file);
        assert_eq!(again.files.iter().any(relies), is_relied_on, "after {newer}");
        assert_eq!(site.restored(&repository, &again), contents(&store, Timestamp::MIN));
    }
}

/// A line that may be removed as a whole is nothing to rely on.
#[test]
fn an_upload_does_not_rely_on_a_line_that_has_ended_long_ago() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let repository = site.repository();
    step(&mut store, 1, "a");
    let first = site.upload(&repository, &mut store).manifest;
    let days = Site::options().superseded.as_micros() / 60_000_000;
    site.pass_minutes(days);
    let again = site.upload(&repository, &mut store);
    assert_eq!(again.files_sent, again.manifest.files.len());
    assert!(again.manifest.files.iter().zip(&first.files).all(|(new, old)| new.generation != old.generation));
}

#[test]
fn an_upload_that_takes_too_long_leaves_no_manifest() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let checkpoint = site.checkpoint(&mut store);
    let long = TimeLimit::start(Duration::from_secs(900));
    let error = repository.send_files(&checkpoint, site.now, TimeLimit::start(Duration::ZERO));
    assert_eq!(error.expect_err("there is no time").code(), "STL-0219");
    // Time runs out before the manifest is written, while it is, or not at all.
    let mut was_late = false;
    for doublings in 0..20 {
        let sent = repository.send_files(&checkpoint, site.now, long).expect("there is time");
        let limit = Duration::from_micros(50 << doublings);
        let time = TimeLimit::start(limit);
        let Err(error) = repository.write_manifest(&checkpoint, sent, time) else { break };
        assert_eq!(error.code(), "STL-0219");
        was_late = true;
        assert!(site.manifests().is_empty(), "after {limit:?}");
    }
    assert!(was_late);
    assert_eq!(site.manifests().len(), 1);
    // Time runs out between the writing and the last look.
    let latest = repository.latest(IDENTITY, "").expect("it can be listed").expect("there is one");
    let path = latest.path(&latest.checksum());
    repository.withdraw_if_late(&path, long).expect("it is not late");
    assert_eq!(site.manifests().len(), 1);
    let error = repository.withdraw_if_late(&path, TimeLimit::start(Duration::ZERO));
    assert_eq!(error.expect_err("it is late").code(), "STL-0219");
    assert!(site.manifests().is_empty());
}

#[test]
fn processes_that_upload_the_same_partition_at_once_do_each_other_no_harm() {
    let mut site = Site::new();
    let (mut store, mut zombie) = (site.open("store"), site.open("zombie"));
    for number in 1..=5 {
        step(&mut store, number, "a");
        step(&mut zombie, number, "a");
    }
    step(&mut store, 6, "a");
    let mut jobs = Vec::new();
    for number in 0..6 {
        // Copies of one store, which have files in common, and of the zombie's.
        let from = if number % 2 == 0 { &mut store } else { &mut zombie };
        let expected = contents(from, Timestamp::MIN);
        jobs.push((site.repository(), site.checkpoint(from), expected));
    }
    let now = site.now;
    let collector = site.repository();
    let is_done = AtomicBool::new(false);
    let uploaded = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let mut collections = 0;
            while !is_done.load(Ordering::SeqCst) {
                let collected = collector.collect_garbage(now).expect("a collection ends");
                assert_eq!((collected.manifests_removed, collected.objects_removed), (0, 0));
                collections += 1;
            }
            collections
        });
        let uploading: Vec<_> = jobs
            .into_iter()
            .map(|(repository, checkpoint, expected)| {
                let upload = move || repository.upload(checkpoint, now).map(|uploaded| (uploaded, expected));
                scope.spawn(upload)
            })
            .collect();
        let uploaded = uploading.into_iter().map(|thread| thread.join().expect("an upload ends"));
        let uploaded: Vec<_> = uploaded.collect::<Result<_, _>>().expect("every upload succeeds");
        is_done.store(true, Ordering::SeqCst);
        assert!(collecting.join().expect("the collector ends") > 0);
        uploaded
    });
    let repository = site.repository();
    for (uploaded, expected) in &uploaded {
        assert_eq!(&site.restored(&repository, &uploaded.manifest), expected);
    }
    let latest = repository.latest(IDENTITY, "").expect("it can be listed").expect("there is one");
    assert_eq!(latest.journal_next_offset, 6);
    let sent: usize = uploaded.iter().map(|(uploaded, _)| uploaded.files_sent).sum();
    assert_eq!(sent, site.objects().len(), "each object was created by one of them");
}
