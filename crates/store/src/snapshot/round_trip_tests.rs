//! What goes up comes down again, and only what is new goes up.

use std::fs;

use settle_types::Timestamp;

use super::testing::{Contents, Site, is_table, noise, step};
use super::{Manifest, SnapshotOptions};
use crate::testing::{IDENTITY, TestRow, apply, contents, kept, key, progress};
use crate::{Identity, MemoryStore, StateStore};

#[test]
fn a_restored_store_holds_what_was_uploaded_and_goes_on() {
    let mut site = Site::new();
    let (mut store, mut memory) = (site.open("store"), MemoryStore::<TestRow>::new(IDENTITY));
    let repository = site.repository();
    assert_eq!(repository.latest(IDENTITY, "").expect("it can be listed"), None);
    assert_eq!(repository.kept(IDENTITY, "").expect("it can be listed"), []);
    let nothing = repository.restore_newest(IDENTITY, "", &site.path("again")).expect("it can be listed");
    assert_eq!(nothing, None);
    assert!(!site.path("again").exists());

    for number in 1..=40 {
        step(&mut store, number, "a");
        step(&mut memory, number, "a");
    }
    let uploaded = site.upload(&repository, &mut store);
    let expected: Contents = contents(&memory, Timestamp::MIN);
    assert_eq!(contents(&store, Timestamp::MIN), expected);
    let manifest = &uploaded.manifest;
    assert_eq!((manifest.stage.as_str(), manifest.partition, manifest.fold_version), ("authorize", 3, 1));
    assert_eq!((manifest.journal_next_offset, manifest.created_at_micros), (40, site.now.as_micros()));
    assert_eq!(uploaded.files_sent, manifest.files.len());
    assert_eq!(uploaded.bytes_sent, manifest.total_bytes());
    assert_eq!(fs::read_dir(site.path("checkpoints")).expect("it is there").count(), 0);

    // By another process.
    let repository = site.repository();
    assert_eq!(repository.latest(IDENTITY, "").expect("it can be listed").as_ref(), Some(manifest));
    repository.verify(manifest).expect("it is whole");
    let kept = repository.kept(IDENTITY, "").expect("it can be listed");
    assert_eq!(
        kept.iter().map(|kept| (kept.journal_next_offset, kept.written_at)).collect::<Vec<_>>(),
        [(40, site.now)]
    );
    let restored = repository.restore_newest(IDENTITY, "", &site.path("again")).expect("it is whole");
    assert_eq!(restored.as_ref(), Some(manifest));
    let mut again = site.open("again");
    assert_eq!(contents(&again, Timestamp::MIN), expected);
    step(&mut again, 41, "a");
    step(&mut memory, 41, "a");
    assert_eq!(contents(&again, Timestamp::MIN), contents(&memory, Timestamp::MIN));
}

#[test]
fn only_new_files_are_sent_and_hashed() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let repository = site.repository();
    let mut before: Option<Manifest> = None;
    // With a fourth table, RocksDB would begin to compact.
    for number in 1..=2 {
        step(&mut store, number, "a");
        let objects_before = site.objects().len();
        // Much later: the objects are older than the grace period, and the snapshot that names them is not gone.
        site.pass_minutes(1_000);
        let uploaded = site.upload(&repository, &mut store);
        assert_eq!(site.objects().len() - objects_before, uploaded.files_sent, "step {number}");
        let Some(earlier) = before.replace(uploaded.manifest.clone()) else { continue };
        let is_new = |hash| !earlier.files.iter().any(|file| file.hash == hash);
        let new: Vec<_> = uploaded.manifest.files.iter().filter(|file| is_new(file.hash)).collect();
        assert_eq!(uploaded.files_sent, new.len(), "step {number}");
        assert_eq!(uploaded.bytes_sent, new.iter().map(|file| file.size).sum::<u64>());
        assert_eq!(new.iter().filter(|file| is_table(&file.name)).count(), 1, "step {number}");
        // The log of RocksDB, which stays empty, is the same file too.
        let is_linked = |name: &str| is_table(name) || name.ends_with(".log");
        let linked =
            uploaded.manifest.files.iter().filter(|file| is_linked(&file.name) && !is_new(file.hash)).count();
        assert!(linked > 1, "RocksDB has compacted, and nothing was tested");
        assert_eq!(uploaded.files_hashed, uploaded.manifest.files.len() - linked, "step {number}");
    }
    // A process that starts knows no hashes, and sends what is new all the same.
    step(&mut store, 3, "a");
    let uploaded = site.upload(&site.repository(), &mut store);
    assert_eq!(uploaded.files_hashed, uploaded.manifest.files.len());
    assert_eq!(uploaded.manifest.files.iter().filter(|file| is_table(&file.name)).count(), 3);
    assert!(uploaded.files_sent <= uploaded.manifest.files.len() - 2);
}

#[test]
fn large_files_go_up_and_down_in_parts() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let rows: Vec<_> = (0..17_u64)
        .map(|number| (key(2, &number.to_string()), Some(kept(&noise(1024 * 1024, number)))))
        .collect();
    apply(&mut store, &rows, &progress(1, 1));
    let repository = site.repository();
    let uploaded = site.upload(&repository, &mut store);
    let largest = uploaded.manifest.files.iter().map(|file| file.size).max().expect("there are files");
    let part = u64::try_from(Site::options().part_bytes).expect("it fits");
    assert!(largest > 2 * part, "the largest file has {largest} bytes");
    let expected = contents(&store, Timestamp::MIN);
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
    // What is sent in parts is not sent again either.
    let again = site.upload(&site.repository(), &mut store);
    assert_eq!(again.bytes_sent, 0);
}

#[test]
fn snapshots_of_others_are_not_found() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let manifest = site.upload(&repository, &mut store).manifest;
    let others = [
        (Identity { fold_version: 2, ..IDENTITY }, ""),
        (Identity { partition: 4, ..IDENTITY }, ""),
        (Identity { stage: "settle", ..IDENTITY }, ""),
        (IDENTITY, "kCzAF5hBSCujrRbRLKBbJg"),
    ];
    for (identity, topic) in others {
        assert_eq!(
            repository.latest(identity, topic).expect("it can be listed"),
            None,
            "{identity:?} {topic}"
        );
        let restored = repository.restore_newest(identity, topic, &site.path("again"));
        assert_eq!(restored.expect("it can be listed"), None, "{identity:?} {topic}");
    }
    assert_eq!(repository.latest(IDENTITY, "").expect("it can be listed"), Some(manifest));
}

#[test]
fn a_topic_identity_of_any_characters_is_kept_apart() {
    let mut site = Site::new();
    let mut store = site.open("store");
    let topic = "a/b %2F..é#1";
    let rows = [(key(2, "a"), Some(kept("1")))];
    apply(&mut store, &rows, &crate::Progress { journal_topic_identity: topic.to_owned(), ..progress(1, 1) });
    let repository = site.repository();
    let manifest = site.upload(&repository, &mut store).manifest;
    assert_eq!(repository.latest(IDENTITY, topic).expect("it can be listed"), Some(manifest));
    assert_eq!(repository.latest(IDENTITY, "").expect("it can be listed"), None);
    assert_eq!(repository.collect_garbage(site.now).expect("it can be listed").manifests_kept, 1);
}

#[test]
fn an_application_has_a_repository_of_its_own() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let manifest = site.upload(&site.repository(), &mut store).manifest;
    let other = site.repository_with(SnapshotOptions { application: "other".to_owned(), ..Site::options() });
    let checkpoint = site.checkpoint(&mut store);
    site.pass_minutes(100_000);
    let errors = [
        other.latest(IDENTITY, "").expect_err("it belongs to another"),
        other.restore(&manifest, &site.path("again")).expect_err("it belongs to another"),
        other.restore_newest(IDENTITY, "", &site.path("again")).expect_err("it belongs to another"),
        other.upload(checkpoint, site.now).expect_err("it belongs to another"),
        other.collect_garbage(site.now).expect_err("it belongs to another"),
    ];
    for error in errors {
        assert_eq!(error.code(), "STL-0217", "{error}");
    }
    site.repository().verify(&manifest).expect("nothing was removed");
}

#[test]
fn a_checkpoint_is_made_in_a_new_directory_and_removed_when_dropped() {
    let site = Site::new();
    let mut store = site.open("store");
    let into = site.path("checkpoint");
    assert!(store.checkpoint(&into, site.now).expect("it is empty").is_none());
    assert!(!into.exists());

    step(&mut store, 1, "a");
    fs::create_dir(&into).expect("it is created");
    let checkpoint = store.checkpoint(&into, site.now).expect("it is empty").expect("there is something");
    assert_eq!((checkpoint.journal_next_offset(), checkpoint.created_at()), (1, site.now));
    assert_eq!(checkpoint.directory(), into);
    let error = store.checkpoint(&into, site.now).expect_err("one is there");
    assert_eq!(error.code(), "STL-0218");
    assert!(into.join("CURRENT").exists());
    drop(checkpoint);
    assert!(!into.exists());

    let mut memory = MemoryStore::<TestRow>::new(IDENTITY);
    step(&mut memory, 1, "a");
    assert!(memory.checkpoint(&into, site.now).expect("memory has no files").is_none());
}

#[test]
fn a_checkpoint_holds_what_was_applied_when_it_was_made() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let expected = contents(&store, Timestamp::MIN);
    let checkpoint = site.checkpoint(&mut store);
    for number in 2..=30 {
        step(&mut store, number, "a");
        store.flush().expect("it flushes");
    }
    store.collect_expired().expect("it compacts");
    let repository = site.repository();
    let uploaded = repository.upload(checkpoint, site.now).expect("the upload ends");
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
}

#[test]
fn a_restore_changes_nothing_that_is_there() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let manifest = site.upload(&repository, &mut store).manifest;
    drop(store);
    for error in [
        repository.restore(&manifest, &site.path("store")).expect_err("a store is there"),
        repository.restore_newest(IDENTITY, "", &site.path("store")).expect_err("a store is there"),
    ] {
        assert_eq!(error.code(), "STL-0218", "{error}");
    }
    assert_eq!(site.open("store").progress(), Some(&progress(1, 1)));
}
