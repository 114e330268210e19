//! Damaged configuration files, rules among them, and damaged settings in a journal: an answer with a code, in memory
//! that the input bounds.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use settle_config::{DEMO_TOML, FlagValue, Sources, demo_config, load};
use settle_engine::authorize::AuthorizeConfig;
use settle_engine::settle::SettleConfig;
use settle_engine::stage::{self, ActiveConfig};
use settle_fuzz::{Meter, config, damaged};
use settle_types::event::ConfigActivation;

#[global_allocator]
static METER: Meter = Meter;

/// The tree with its places in the file, the typed form and the messages, for each byte.
fn allowance(length: usize) -> usize {
    (4 << 20) + 4_000 * length
}

fn examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let read = |name: &str| fs::read(folder.join(name)).expect("an example");
    vec![DEMO_TOML.as_bytes().to_vec(), read("kafka.toml"), read("settle.toml"), read("orders-settle.toml")]
}

/// Loads and checks; true if there is a configuration.
fn is_loaded(path: &Path, environment: Vec<(String, String)>, flags: Vec<FlagValue>) -> bool {
    let found = match load(Sources { file: Some(path.to_owned()), environment, flags }) {
        Ok(loaded) => loaded.check(),
        Err(error) => {
            assert!(error.code().starts_with("STL-") && !error.hint().is_empty());
            for problem in error.problems() {
                assert!(problem.code.starts_with("STL-") && !problem.to_string().is_empty());
            }
            return false;
        }
    };
    for problem in found {
        assert!(problem.code.starts_with("STL-") && !problem.to_string().is_empty());
    }
    true
}

#[test]
fn the_files_that_are_damaged_are_valid() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("settle.toml");
    for content in examples() {
        fs::write(&path, content).expect("a file");
        assert!(is_loaded(&path, Vec::new(), Vec::new()));
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn damaged_files(content in damaged(examples())) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("settle.toml");
        fs::write(&path, &content).expect("a file");
        let (_, peak) = METER.peak(|| is_loaded(&path, Vec::new(), Vec::new()));
        prop_assert!(peak <= allowance(content.len()), "{peak} bytes for {}", content.len());
    }

    #[test]
    fn damaged_variables_and_flags(
        names in proptest::collection::vec(damaged(vec![
            b"SETTLE__RISK__RULES".to_vec(), b"SETTLE__CONTRACTS__m-1__FEES__CARD".to_vec(), b"SETTLE__WORKER__WORKERS".to_vec(),
        ]), 1..4),
        value in damaged(vec![
            b"[{ id = \"a\", version = 1, check = \"DENY_LIST\", field = \"MCC\", values = [\"1\"] }]".to_vec(),
            b"{ EUR = { basis_points = 100, fixed_minor = 10 } }".to_vec(), b"4".to_vec(), b"\"17:00\"".to_vec(),
        ]),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("settle.toml");
        fs::write(&path, "").expect("a file");
        let value = String::from_utf8_lossy(&value).into_owned();
        let names: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let length = value.len() + names.iter().map(String::len).sum::<usize>();
        let flags = names.iter().map(|name| FlagValue::parsed(name.replace("__", ".").to_lowercase(), value.clone()));
        let (flags, variables) = (flags.collect(), names.iter().map(|name| (name.clone(), value.clone())).collect());
        let (_, peak) = METER.peak(|| is_loaded(&path, variables, flags));
        prop_assert!(peak <= allowance(8 * length), "{peak} bytes for {length}");
    }

    /// The journal holds rules and contracts with their full content: a damaged one is refused, whatever it says.
    #[test]
    fn damaged_activations(content in damaged(activations())) {
        let content = String::from_utf8_lossy(&content).into_owned();
        let length = content.len();
        let activation = ConfigActivation { hash: "hash".into(), content };
        let (authorize, peak) = METER.peak(|| AuthorizeConfig::from_activation(&activation));
        prop_assert!(peak <= allowance(length), "{peak} bytes for {length}");
        let (settle, peak) = METER.peak(|| SettleConfig::from_activation(&activation));
        prop_assert!(peak <= allowance(length), "{peak} bytes for {length}");
        for error in [authorize.err().map(|error| error.to_string()), settle.err().map(|error| error.to_string())] {
            prop_assert!(error.is_none_or(|words| !words.is_empty()));
        }
    }
}

fn activations() -> Vec<Vec<u8>> {
    let demo = demo_config();
    let contents = [
        stage::activation(&demo.authorize_settings()).content,
        stage::activation(&demo.settle_settings()).content,
    ];
    contents.iter().map(|content| content.as_bytes().to_vec()).collect()
}

#[test]
fn the_activations_that_are_damaged_are_valid() {
    let [authorize, settle] = activations().try_into().expect("one for each stage");
    let activation = |content: Vec<u8>| ConfigActivation {
        hash: "hash".into(),
        content: String::from_utf8(content).expect("text"),
    };
    assert!(AuthorizeConfig::from_activation(&activation(authorize)).is_ok());
    assert!(SettleConfig::from_activation(&activation(settle)).is_ok());
}
