//! Bad machines: a damaged file, a data directory in use, one that cannot be written, and a full disk. Each is a
//! coded error, nothing committed is lost, and the run goes on once the cause is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use settle_tests::program::now;
use settle_tests::{Running, Settle, Topics, files_of, fixture, namespace, note};
use settle_types::topic;

use crate::determinism::copy_of;

const RUN: [&str; 5] = ["run", "--until-idle", "--finish", "--log-level", "warn"];

fn produced(folder: &Path) -> Settle {
    let settle = Settle::new(folder.join("data")).with_config(fixture("traffic.toml"));
    settle.run(&["produce", "--generate", "1500", "--seed", "5"]).expect_code(0);
    settle
}

fn segment(data: &Path) -> PathBuf {
    data.join("log/segment-00000000000000000000.log")
}

/// Everything on disk but the names of lock holders.
fn disk(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files_of(data);
    files.retain(|(path, _)| path.file_name().is_some_and(|name| name != "LOCK"));
    files
}

#[test]
fn a_damaged_log_is_refused_with_file_and_position_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path());
    settle.settle();
    let file = segment(settle.data());
    let mut bytes = fs::read(&file).expect("the segment can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&file, &bytes).expect("the segment can be written");
    let before = disk(settle.data());
    for arguments in [RUN.as_slice(), &["topics", "list"], &["produce", "--generate", "1"]] {
        let ended = settle.run(arguments).expect_code(1).expect_message("[STL-0108]");
        let ended =
            ended.expect_message(&file.display().to_string()).expect_message("docs/errors/STL-0108.md");
        let words: Vec<&str> = ended.stderr.split_whitespace().collect();
        let place = words.windows(2).find(|pair| pair[0] == "byte").map(|pair| pair[1].trim_end_matches(':'));
        let position: usize = place.expect("a position").parse().expect("a number of bytes");
        assert!(position <= middle, "the damage at {middle} is not after {position}");
        assert!(ended.stdout.is_empty(), "{arguments:?} printed data: {}", ended.stdout);
    }
    assert!(before == disk(settle.data()), "a refused log was changed");
}

#[test]
fn a_damaged_store_is_built_again_from_the_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path());
    settle.settle();
    let expected = Topics::read(settle.data());
    let state = settle_tests::state::dump(settle.data());
    let mut damaged = 0;
    for (path, mut bytes) in files_of(&settle.data().join("state/authorize/0")) {
        if path.extension().is_some_and(|extension| extension == "sst") {
            bytes.fill(0xff);
            fs::write(&path, bytes).expect("a table can be written");
            damaged += 1;
        }
    }
    assert!(damaged > 0, "the store has tables");
    settle.settle();
    expected.assert_same(&Topics::read(settle.data()), "a rebuild writes nothing");
    assert!(state == settle_tests::state::dump(settle.data()), "I10: the rebuilt stores differ");
}

#[test]
fn a_data_directory_in_use_names_its_holder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path());
    let holder = settle.start(&["run", "--log-level", "warn"]);
    let process = holder.id().to_string();
    wait_for_lock(settle.data(), &process);
    for arguments in [RUN.as_slice(), &["produce", "--generate", "1"], &["topics", "list"]] {
        let ended = settle.run(arguments).expect_code(1).expect_message("[STL-0105]");
        ended.expect_message(&format!("process {process}"));
    }
    holder.signal("TERM");
    holder.wait().expect_code(0);
    settle.settle();
}

/// Waits until the log is held by this process.
pub(crate) fn wait_for_lock(data: &Path, process: &str) {
    let started = now();
    let holder = || fs::read_to_string(data.join("log/LOCK")).unwrap_or_default();
    while holder().split(' ').next() != Some(process) {
        assert!(started.elapsed() < Duration::from_secs(60), "the log was not taken: {}", holder());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_read_only_directory_can_be_read_and_not_run_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path());
    if !namespace::can_mount() {
        return read_only_by_permissions(&settle);
    }
    let before = disk(settle.data());
    let script = |folder: &str, command: &str| {
        format!(
            "mount --bind \"$DATA/{folder}\" \"$DATA/{folder}\"; mount -o remount,bind,ro \"$DATA/{folder}\"; \
             exec \"$SETTLE\" {command} --embedded \"$DATA\" --config '{}' --log-level warn",
            fixture("traffic.toml").display()
        )
    };
    let run = "run --until-idle --finish";
    namespace::run(&script("", run), settle.data()).expect_code(1).expect_message("[STL-0110]");
    namespace::run(&script("", "topics list"), settle.data()).expect_code(0);
    assert!(before == disk(settle.data()), "a read-only directory was changed");
    fs::create_dir_all(settle.data().join("state")).expect("a folder for the state");
    namespace::run(&script("state", run), settle.data()).expect_code(1).expect_message("[STL-0204]");
    settle.settle();
}

fn read_only_by_permissions(settle: &Settle) {
    use std::os::unix::fs::PermissionsExt;
    let log = settle.data().join("log");
    let allow =
        |mode| fs::set_permissions(&log, fs::Permissions::from_mode(mode)).expect("a mode can be set");
    note("no mount is possible here: the directory is made read-only by its permissions alone");
    allow(0o555);
    let binds = fs::write(log.join("probe"), "").is_err();
    if binds {
        fs::remove_file(log.join("LOCK")).ok();
        settle.run(&RUN).expect_code(1).expect_message("[STL-0110]");
    } else {
        note("permissions do not bind this user: a read-only directory could NOT be tested");
    }
    allow(0o755);
    settle.settle();
}

/// Topics of the same requests without any trouble, and of the requests alone.
fn undisturbed(settle: &Settle) -> (Topics, Topics) {
    let copy = copy_of(settle, "undisturbed");
    let before = Topics::read(copy.data());
    copy.settle();
    (before, Topics::read(copy.data()))
}

#[test]
fn a_file_size_limit_loses_nothing_and_the_run_goes_on_without_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path()).with("worker.commit_records=50");
    let (before, expected) = undisturbed(&settle);
    let small = fs::metadata(segment(settle.data())).expect("a segment").len();
    let large = fs::metadata(segment(&folder.path().join("undisturbed"))).expect("a segment").len();
    for share in [1, 2, 3] {
        let copy = copy_of(&settle, &format!("limited-{share}"));
        let limit_kib = (small + (large - small) * share / 4) / 1_024;
        let mut limited = Command::new("bash");
        limited.args(["-c", "ulimit -f \"$1\"; shift; exec \"$@\"", "bash", &limit_kib.to_string()]);
        let command = copy.command(&RUN);
        limited.arg(command.get_program()).args(command.get_args());
        let ended = Running::start(limited).wait().expect_code(1).expect_message("[STL-0109]");
        ended.expect_message("docs/errors/STL-0109.md");
        let reached = Topics::read(copy.data());
        assert!(before.is_prefix_of(&reached), "limit {share}/4: requests were lost");
        assert!(reached.is_prefix_of(&expected), "limit {share}/4: what was committed is not what was due");
        assert!(reached.count(topic::DECIDED) > 0, "limit {share}/4: the limit came before any commit");
        copy.settle();
        expected.assert_same(&Topics::read(copy.data()), &format!("limit {share}/4, after it was lifted"));
    }
}

/// Runs on a file system that is full, gives it more space, and so on until the run ends; prints how each ended.
const GROWING_DISK: &str = r#"
size=$(( $(du -sk "$DATA" | cut -f1) + 300 ))
mkdir -p "$DATA.disk"
mount -t tmpfs -o size=${size}k tmpfs "$DATA.disk"
cp -r "$DATA/." "$DATA.disk/"
for attempt in $(seq 1 40); do
    code=0
    "$SETTLE" run --until-idle --finish --embedded "$DATA.disk" --config "$CONFIG" \
        --set worker.commit_records=50 --log-level warn 2> "$DATA.error" || code=$?
    echo "attempt $attempt: exit $code with $size KiB: $(grep -o 'STL-0[0-9]*' "$DATA.error" | head -1)"
    if [ $code -eq 0 ]; then break; fi
    if [ $code -ne 1 ]; then cat "$DATA.error"; fi
    size=$(( size * 3 / 2 + 200 ))
    mount -o remount,size=${size}k "$DATA.disk"
done
cp -r "$DATA.disk/." "$DATA.after/"
"#;

#[test]
fn a_full_disk_loses_nothing_and_the_run_goes_on_with_more_space() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = produced(folder.path());
    if !namespace::can_mount() {
        note(
            "no mount is possible here: a full disk could NOT be tested; the run under a file-size limit was",
        );
        return;
    }
    let (_, expected) = undisturbed(&settle);
    let after = folder.path().join("data.after");
    fs::create_dir_all(&after).expect("a folder for the result");
    let script = format!("CONFIG='{}'\n{GROWING_DISK}", fixture("traffic.toml").display());
    let ended = namespace::run(&script, settle.data()).expect_code(0);
    let attempts: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("attempt")).collect();
    note(attempts.join("\n      "));
    let (last, failed) = attempts.split_last().expect("at least one attempt");
    assert!(last.contains("exit 0"), "the run never ended well:\n{}\n{}", ended.stdout, ended.stderr);
    assert!(failed.len() >= 2, "the disk was never full: this test proved nothing");
    for line in failed {
        let is_coded = line.contains("exit 1") && (line.ends_with("STL-0109") || line.ends_with("STL-0203"));
        assert!(is_coded, "a full disk is STL-0109 or STL-0203: {line}");
    }
    expected.assert_same(&Topics::read(&after), "after more space");
}

#[test]
fn a_directory_that_is_none_is_told_and_nothing_is_created() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "no directory").expect("a file can be written");
    Settle::new(file.join("data")).run(&RUN).expect_code(1).expect_message("[STL-0111]");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    Settle::new(&empty).run(&["topics", "list"]).expect_code(1).expect_message("[STL-0106]");
    assert!(files_of(&empty).is_empty(), "looking at a directory created something in it");
}
