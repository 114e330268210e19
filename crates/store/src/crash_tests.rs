//! A store that is opened again: after a close, after a crash, by another owner, twice, damaged.

use std::fs;
use std::path::Path;

use rocksdb::{DB, IteratorMode, ReadOptions, WaitForCompactOptions};
use settle_engine::StateKey;
use settle_types::Timestamp;
use tempfile::TempDir;

use crate::collection::Horizon;
use crate::testing::{IDENTITY, TestRow, TestStore, apply, contents, kept, key, progress, read, row};
use crate::{Identity, Resources, StateStore, Store, StoreOptions};

pub(crate) fn resources() -> Resources {
    Resources::new(StoreOptions::default()).expect("the default options work")
}

pub(crate) fn open(directory: &Path) -> TestStore {
    Store::open(directory, &resources(), IDENTITY).expect("the store opens")
}

/// What a crash at this moment would leave: a copy of the directory of an open store. The files that name
/// others come first, and nothing is deleted meanwhile: as on a disk, what is named is there.
pub(crate) fn crash_image(database: &DB, directory: &Path) -> TempDir {
    let image = tempfile::tempdir().expect("a temporary directory");
    database.disable_file_deletions().expect("deletions stop");
    let is_table = |name: &Path| name.extension().is_some_and(|extension| extension == "sst");
    for tables_turn in [false, true] {
        for entry in fs::read_dir(directory).expect("the directory reads") {
            let path = entry.expect("the entry reads").path();
            let name = path.file_name().expect("an entry has a name");
            if is_table(&path) == tables_turn && name != "LOCK" {
                fs::copy(&path, image.path().join(name)).expect("the file copies");
            }
        }
    }
    database.enable_file_deletions().expect("deletions go on");
    image
}

fn stored_keys(database: &DB) -> Vec<StateKey> {
    let entries = database.iterator_opt(IteratorMode::Start, ReadOptions::default());
    entries.map(|entry| StateKey::from_bytes(&entry.expect("the entry reads").0)).collect()
}

#[test]
fn closing_and_dropping_keep_everything() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    assert_eq!(store.progress(), None);
    apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
    store.close().expect("the store closes");

    let mut store = open(directory.path());
    assert_eq!(store.progress(), Some(&progress(1, 10)));
    apply(&mut store, &[(key(2, "b"), Some(kept("2")))], &progress(2, 20));
    drop(store);

    let store = open(directory.path());
    assert_eq!(store.progress(), Some(&progress(2, 20)));
    assert_eq!(read(&store, &[key(2, "a"), key(2, "b")]), [Some(kept("1")), Some(kept("2"))]);
}

#[test]
fn a_crash_leaves_the_last_flush() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
    store.flush().expect("the store flushes");
    apply(&mut store, &[(key(2, "a"), Some(kept("2"))), (key(2, "b"), Some(kept("2")))], &progress(2, 20));

    let image = crash_image(&store.database, directory.path());
    let recovered = open(image.path());
    assert_eq!(recovered.progress(), Some(&progress(1, 10)));
    assert_eq!(read(&recovered, &[key(2, "a"), key(2, "b")]), [Some(kept("1")), None]);
}

#[test]
fn unflushed_bytes_grow_with_changes_and_end_with_a_flush() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    assert_eq!(store.unflushed_bytes().expect("it counts"), 0);
    let large = "x".repeat(200_000);
    apply(&mut store, &[(key(2, "a"), Some(kept(&large)))], &progress(1, 10));
    assert!(store.unflushed_bytes().expect("it counts") >= 200_000);
    store.flush().expect("the store flushes");
    assert_eq!(store.unflushed_bytes().expect("it counts"), 0);
}

#[test]
fn expired_rows_are_collected_once_their_expiry_is_flushed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    let changes = [(key(2, "a"), Some(row(50, "1"))), (key(2, "b"), Some(row(51, "1")))];
    apply(&mut store, &changes, &progress(1, 10));
    apply(&mut store, &[(key(2, "c"), Some(kept("1")))], &progress(2, 50));
    assert_eq!(read(&store, &[key(2, "a"), key(2, "b")]), [None, Some(row(51, "1"))]);
    assert!(stored_keys(&store.database).contains(&key(2, "a")), "it is hidden, not yet collected");

    let before = contents(&store, Timestamp::MIN);
    store.collect_expired().expect("the store collects");
    assert_eq!(stored_keys(&store.database)[1..], [key(2, "b"), key(2, "c")]);
    assert_eq!(contents(&store, Timestamp::MIN), before);
    drop(store);
    assert_eq!(contents(&open(directory.path()), Timestamp::MIN), before);
}

/// The clock passes a row's expiry, a compaction runs, the process crashes before the flush: the replay starts
/// at the flushed clock and has to find the row.
#[test]
fn a_compaction_before_the_flush_keeps_what_the_replay_reads() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let horizon = Horizon::new();
    let mut options = resources().database_options(&horizon);
    options.set_disable_auto_compactions(true);
    options.set_level_zero_file_num_compaction_trigger(2);
    let mut store =
        TestStore::open_with(directory.path(), options, horizon, IDENTITY).expect("the store opens");
    let changes =
        |text: &str| [(key(2, "gone"), Some(row(10, text))), (key(2, "live"), Some(row(50, text)))].to_vec();
    for step in 1..=3_u32 {
        apply(&mut store, &changes(&step.to_string()), &progress(step, 10));
        store.flush().expect("the store flushes");
    }
    apply(&mut store, &[(key(3, "b"), Some(kept("4")))], &progress(4, 100));
    assert_eq!(read(&store, &[key(2, "live")]), [None], "expired at the applied clock");

    store.database.set_options(&[("disable_auto_compactions", "false")]).expect("compactions start");
    store.database.wait_for_compact(&WaitForCompactOptions::default()).expect("compactions end");
    let keys = stored_keys(&store.database);
    assert!(!keys.contains(&key(2, "gone")), "the compaction ran and collected at the flushed clock");
    assert!(keys.contains(&key(2, "live")), "it had not expired at the flushed clock");

    let image = crash_image(&store.database, directory.path());
    let recovered = open(image.path());
    assert_eq!(recovered.progress(), Some(&progress(3, 10)));
    assert_eq!(read(&recovered, &[key(2, "live")]), [Some(row(50, "3"))]);
}

#[test]
fn only_its_owner_and_version_open_a_store() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
    store.close().expect("the store closes");
    let cases = [
        (Identity { stage: "settle", ..IDENTITY }, "STL-0207", false),
        (Identity { partition: 4, ..IDENTITY }, "STL-0207", false),
        (Identity { fold_version: 2, ..IDENTITY }, "STL-0206", true),
    ];
    for (identity, code, is_cured_by_rebuild) in cases {
        let error = Store::<TestRow>::open(directory.path(), &resources(), identity).err().expect(code);
        assert_eq!(error.code(), code, "{identity:?}");
        assert_eq!(error.is_cured_by_rebuild(), is_cured_by_rebuild, "{identity:?}");
    }
    assert_eq!(open(directory.path()).progress(), Some(&progress(1, 10)), "a refusal changes nothing");
}

#[test]
fn a_store_is_opened_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(directory.path());
    let second =
        Store::<TestRow>::open(directory.path(), &resources(), IDENTITY).err().expect("it is locked");
    assert_eq!(second.code(), "STL-0201");
    let destroyed = TestStore::destroy(directory.path()).expect_err("it is locked");
    assert_eq!(destroyed.code(), "STL-0201");
    drop(store);
    open(directory.path());
}

#[test]
fn a_destroyed_store_is_empty_and_foreign_files_stay() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    TestStore::destroy(&path).expect("nothing there is no error");
    let mut store = open(&path);
    apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
    store.close().expect("the store closes");
    fs::write(path.join("notes.txt"), "ours").expect("the file is written");

    TestStore::destroy(&path).expect("the store is removed");
    assert!(path.join("notes.txt").exists());
    let store = open(&path);
    assert_eq!(contents(&store, Timestamp::MIN), (None, Vec::new()));
}

#[test]
fn damage_is_reported_and_cured_by_a_rebuild() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("a table is gone", |path| fs::remove_file(path).expect("the table is removed")),
        ("a table is cut", |path| fs::write(path, b"cut").expect("the table is cut")),
        ("a bit is flipped", |path| {
            let mut bytes = fs::read(path).expect("the table reads");
            bytes[5] ^= 1;
            fs::write(path, bytes).expect("the table is written");
        }),
    ];
    for (name, damage) in damages {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut store = open(directory.path());
        apply(&mut store, &[(key(2, "a"), Some(kept("1")))], &progress(1, 10));
        store.close().expect("the store closes");
        let files = fs::read_dir(directory.path()).expect("the directory reads");
        let paths = files.map(|entry| entry.expect("the entry reads").path());
        let tables = paths.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
        tables.for_each(|path| damage(&path));

        let error = Store::<TestRow>::open(directory.path(), &resources(), IDENTITY).err().expect(name);
        assert_eq!(error.code(), "STL-0202", "{name}: {error}");
        assert!(error.is_cured_by_rebuild());
        TestStore::destroy(directory.path()).expect("the store is removed");
        assert_eq!(open(directory.path()).progress(), None);
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let other = DB::open_default(directory.path()).expect("a database opens");
    other.put(b"key", b"value").expect("it takes a key");
    drop(other);
    let error =
        Store::<TestRow>::open(directory.path(), &resources(), IDENTITY).err().expect("it is refused");
    assert_eq!(error.code(), "STL-0202");
}

#[test]
#[should_panic(expected = "belongs to the store")]
fn the_progress_row_is_no_row_of_a_stage() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = open(directory.path());
    apply(&mut store, &[(key(0, ""), Some(kept("1")))], &progress(1, 10));
}
