//! What is torn, lost or changed is noticed, named, and got round where there is something older.

use std::fs;
use std::path::{Path, PathBuf};

use settle_types::Timestamp;

use super::Manifest;
use super::testing::{Contents, GRACE_MINUTES, Site, is_table, object_of, step};
use crate::StateStore;
use crate::testing::{IDENTITY, TestStore, contents};

/// Two snapshots, and what the store held at each.
fn two_snapshots(site: &mut Site) -> (TestStore, [(Manifest, Contents); 2]) {
    let mut store = site.open("store");
    let repository = site.repository();
    let snapshots = [1, 2].map(|number| {
        step(&mut store, number, "a");
        let manifest = site.upload(&repository, &mut store).manifest;
        (manifest, contents(&store, Timestamp::MIN))
    });
    (store, snapshots)
}

/// Objects that the second snapshot has and the first has not.
fn new_objects(site: &Site, [first, second]: &[(Manifest, Contents); 2]) -> Vec<PathBuf> {
    let is_new = |hash| !first.0.files.iter().any(|file| file.hash == hash);
    let new = second.0.files.iter().filter(|file| file.size > 0 && is_new(file.hash));
    new.map(|file| site.path("repository").join(file.object().as_ref())).collect()
}

#[test]
fn an_upload_that_ends_before_its_manifest_is_not_seen_and_the_next_goes_on() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let checkpoint = site.checkpoint(&mut store);
    site.send(&repository, &checkpoint);
    drop(checkpoint);
    let sent = site.objects().len();
    assert!(sent > 3 && site.manifests().is_empty());
    assert_eq!(repository.latest(IDENTITY, "").expect("it can be listed"), None);

    let uploaded = site.upload(&site.repository(), &mut store);
    assert_eq!((uploaded.files_sent, site.objects().len()), (0, sent), "everything was there");
    let expected = contents(&store, Timestamp::MIN);
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
}

#[test]
fn damage_to_any_object_is_named_and_the_older_snapshot_restored() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("its content is not that", |path| {
            let mut bytes = fs::read(path).expect("it reads");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("it is written");
        }),
        ("it is missing", |path| fs::remove_file(path).expect("it is removed")),
        ("bytes instead of", |path| fs::write(path, "").expect("it is cut")),
        ("it ", |path| {
            let bytes = fs::read(path).expect("it reads");
            fs::write(path, &bytes[..bytes.len() - 1]).expect("it is cut");
        }),
    ];
    let mut site = Site::new();
    let (_store, snapshots) = two_snapshots(&mut site);
    let repository = site.repository();
    let targets = new_objects(&site, &snapshots);
    assert!(targets.len() >= 2, "a table and the list of tables: {targets:?}");
    for path in &targets {
        let whole = fs::read(path).expect("it reads");
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        for (words, damage) in &damages {
            damage(path);
            let again = site.path("again");
            for error in [
                repository.restore(&snapshots[1].0, &again).expect_err(words),
                repository.verify(&snapshots[1].0).expect_err(words),
            ] {
                assert_eq!(error.code(), "STL-0215", "{error}");
                let message = error.to_string();
                assert!(message.contains(&name) && message.contains(words), "{message}");
            }
            assert!(!again.exists() && !site.path("again.restoring").exists());

            let restored = repository.restore_newest(IDENTITY, "", &again).expect("the older one is whole");
            assert_eq!(restored.as_ref(), Some(&snapshots[0].0));
            assert_eq!(contents(&site.open("again"), Timestamp::MIN), snapshots[0].1);
            fs::remove_dir_all(&again).expect("it is removed");
            fs::write(path, &whole).expect("it is repaired");
        }
    }
    repository.verify(&snapshots[1].0).expect("everything was repaired");
}

#[test]
fn damage_to_all_snapshots_is_not_the_same_as_none() {
    let mut site = Site::new();
    let (_store, snapshots) = two_snapshots(&mut site);
    let shared = object_of(&site, &snapshots[0].0, is_table);
    fs::remove_file(&shared).expect("it is removed");
    let repository = site.repository();
    let error = repository.restore_newest(IDENTITY, "", &site.path("again")).expect_err("both name it");
    assert_eq!(error.code(), "STL-0215");
    assert!(error.to_string().contains(&*shared.file_name().expect("it has a name").to_string_lossy()));

    for path in site.manifests() {
        fs::write(path, "{}").expect("it is overwritten");
    }
    assert_eq!(repository.latest(IDENTITY, "").expect_err("both are damaged").code(), "STL-0215");
}

#[test]
fn a_manifest_that_cannot_be_used_is_passed_over() {
    let changes: [(&str, &str); 4] = [
        ("\"journal_next_offset\": 2", "\"journal_next_offset\": 3"),
        ("\"format_version\": 1", "\"format_version\": 7"),
        ("{", ""),
        ("\"authorize\"", "\"settle\""),
    ];
    let mut site = Site::new();
    let (_store, snapshots) = two_snapshots(&mut site);
    let newest = site.manifests().pop().expect("there are two");
    let whole = fs::read_to_string(&newest).expect("it reads");
    let repository = site.repository();
    for (from, to) in changes {
        assert!(whole.contains(from));
        fs::write(&newest, whole.replacen(from, to, 1)).expect("it is changed");
        let latest = repository.latest(IDENTITY, "").expect("the older one is whole");
        assert_eq!(latest.as_ref(), Some(&snapshots[0].0), "{to}");
    }
    // A whole manifest under the name of another.
    fs::copy(&site.manifests()[0], &newest).expect("it is copied");
    let latest = repository.latest(IDENTITY, "").expect("the older one is whole");
    assert_eq!(latest.as_ref(), Some(&snapshots[0].0));
}

#[test]
fn an_object_that_was_lost_is_sent_again() {
    let mut site = Site::new();
    let (mut store, snapshots) = two_snapshots(&mut site);
    let repository = site.repository();
    site.pass_minutes(30);
    let lost = object_of(&site, &snapshots[0].0, is_table);
    fs::remove_file(&lost).expect("it is removed");
    let cut = new_objects(&site, &snapshots).into_iter().next().expect("there is one");
    fs::write(&cut, "cut").expect("it is cut");
    step(&mut store, 3, "a");
    let uploaded = site.upload(&repository, &mut store);
    let expected = contents(&store, Timestamp::MIN);
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
    assert!(!lost.exists(), "under the name of its own generation");
}

#[test]
fn an_object_of_this_generation_that_is_cut_is_replaced() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let checkpoint = site.checkpoint(&mut store);
    site.send(&repository, &checkpoint);
    drop(checkpoint);
    for path in site.objects() {
        fs::write(path, "cut").expect("it is cut");
    }
    let uploaded = site.upload(&repository, &mut store);
    let expected = contents(&store, Timestamp::MIN);
    assert_eq!(site.restored(&repository, &uploaded.manifest), expected);
}

#[test]
fn a_collection_does_not_count_damaged_snapshots_and_removes_them_in_time() {
    let mut site = Site::new();
    let (mut store, snapshots) = two_snapshots(&mut site);
    let repository = site.repository();
    // Three more, all damaged: as many as would push the good ones out.
    for number in 3..=5 {
        step(&mut store, number, "a");
        site.upload(&repository, &mut store);
    }
    for path in site.manifests().into_iter().skip(2) {
        fs::write(path, "{\"format_version\": 1}").expect("it is overwritten");
    }
    site.stamp();
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.manifests_removed, collected.objects_removed), (0, 0), "too young");
    site.pass_minutes(2 * GRACE_MINUTES);
    let collected = repository.collect_garbage(site.now).expect("it ends");
    assert_eq!((collected.manifests_removed, collected.manifests_kept), (3, 2));
    assert!(collected.objects_removed > 0);
    for (manifest, contents) in snapshots {
        assert_eq!(site.restored(&repository, &manifest), contents);
    }
}

#[test]
fn a_collection_stops_at_a_manifest_of_another_format() {
    let mut site = Site::new();
    let (mut store, _) = two_snapshots(&mut site);
    let repository = site.repository();
    step(&mut store, 3, "a");
    site.upload(&repository, &mut store);
    let newest = site.manifests().pop().expect("there are three");
    fs::write(&newest, "{\"format_version\": 2}").expect("a later version writes it");
    site.stamp();
    site.pass_minutes(10 * GRACE_MINUTES);
    let files = site.repository_files("");
    assert_eq!(repository.collect_garbage(site.now).expect_err("it may name anything").code(), "STL-0216");
    assert_eq!(site.repository_files(""), files);
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_noticed() {
    let mut site = Site::new();
    let mut store = site.open("store");
    step(&mut store, 1, "a");
    let repository = site.repository();
    let first = site.checkpoint(&mut store);
    let table = fs::read_dir(first.directory())
        .expect("it is there")
        .map(|entry| entry.expect("the entry reads").path())
        .find(|path| path.to_str().is_some_and(is_table))
        .expect("there is a table");
    site.send(&repository, &first);
    // Bits flip on the disk, and the file looks as it did before.
    let modified = fs::metadata(&table).and_then(|metadata| metadata.modified()).expect("it has a time");
    let mut bytes = fs::read(&table).expect("it reads");
    bytes[9] ^= 1;
    fs::write(&table, bytes).expect("it is written");
    let file = fs::File::options().write(true).open(&table).expect("it opens");
    file.set_modified(modified).expect("its time is set");

    // In another generation, so that it has to be sent again.
    site.pass_minutes(60);
    let error = repository.upload(first, site.now).expect_err("the content is another");
    assert_eq!(error.code(), "STL-0202", "{error}");
    assert!(site.manifests().is_empty());
    assert!(store.progress().is_some());
}
