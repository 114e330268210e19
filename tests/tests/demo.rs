//! `settle demo`: what a person sees first has to work, the commands that it proposes included.

use std::fs;
use std::process::Command;

use settle_tests::program::{self, binary};
use settle_tests::{Running, Topics, invariants};
use settle_types::topic;

#[test]
fn the_demo_shows_a_day_and_its_next_commands_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("demo");
    let data_argument = data.display().to_string();
    let arguments = ["demo", "--payments", "2000", "--seed", "3", "--data-dir", &data_argument];
    let ended = program::run(&arguments).expect_code(0);
    for part in [
        "Decisions of AUTHORIZE",
        "Why, most frequent first",
        "Bookings of SETTLE",
        "Batches and payouts",
        "Trial balance",
        "APPROVED",
        "REPLAYED",
        "CONFLICT",
        "INVALID",
        "per second",
        "JPY",
        "BHD",
        "Next:",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} was expected in\n{}", ended.stdout);
    }
    let first = Topics::read(&data);
    invariants::check(&first);
    assert_eq!(first.count(topic::REQUESTED), 2_000);

    let (_, next) = ended.stdout.split_once("Next:").expect("the demo proposes commands");
    let mut commands = 0;
    for line in next.lines().filter(|line| !line.trim().is_empty()) {
        let (command, what) =
            line.split_once('#').unwrap_or_else(|| panic!("a comment was expected: {line}"));
        let mut words = command.split_whitespace();
        assert_eq!(words.next(), binary().to_str(), "{line}");
        let mut proposed = Command::new(binary());
        proposed.args(words).current_dir(folder.path());
        let shown = Running::start(proposed).wait().expect_code(0).stdout;
        assert!(!shown.trim().is_empty(), "nothing was shown for {what}");
        commands += 1;
    }
    assert!(commands >= 4, "few commands:\n{next}");

    program::run(&arguments).expect_code(0);
    first.assert_same(&Topics::read(&data), "the same seed, in place of the earlier demo");
}

#[test]
fn the_demo_leaves_a_folder_of_somebody_else_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mine = folder.path().join("mine.txt");
    fs::write(&mine, "mine").expect("a file can be written");
    let shown = folder.path().display().to_string();
    program::run(&["demo", "--payments", "10", "--data-dir", &shown])
        .expect_code(2)
        .expect_message("--data-dir");
    assert_eq!(fs::read_to_string(&mine).expect("it is still there"), "mine");
}
