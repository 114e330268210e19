//! What the end-to-end tests stand on: the binary as a process, its topics and stores read by an independent
//! client, and the invariants of docs/architecture.md checked over what it wrote.
//!
//! Must not know how the binary works inside: it is started like any user starts it, and judged by its output,
//! its exit codes and its topics.

pub mod chance;
pub mod invariants;
pub mod namespace;
pub mod program;
pub mod requests;
pub mod state;
pub mod topics;

pub use chance::Chance;
pub use program::{Outcome, Running, Settle};
pub use topics::{Topics, Writer};

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests stand in a folder of the workspace").to_path_buf()
}

/// A file of deploy/examples/.
pub fn example(name: &str) -> PathBuf {
    workspace().join("deploy/examples").join(name)
}

/// A file of tests/fixtures/.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Says something about a test run that a reader of its output has to know.
#[expect(clippy::print_stderr, reason = "the output of a test is its standard error")]
pub fn note(text: impl AsRef<str>) {
    eprintln!("note: {}", text.as_ref());
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the copy's folder can be created");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("the file can be copied");
        }
    }
}

/// Every file below a folder with its bytes, by path: what was on disk at a moment.
pub fn files_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            let bytes = std::fs::read(&path).expect("the file can be read");
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}
