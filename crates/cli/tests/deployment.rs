//! The files under deploy/ agree with the program and with each other: keys, ports, paths of probes, user.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const USER: &str = "10001";

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest() -> String {
    read("deploy/kubernetes/settle.yaml")
}

fn containerfile() -> String {
    read("deploy/container/Containerfile")
}

/// The block of text under `settle.toml: |`, without its indentation.
fn configuration_of(manifest: &str) -> String {
    let (_, after) = manifest.split_once("  settle.toml: |\n").expect("the manifest has a configuration");
    let lines = after.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Variables of the manifest; those that the cluster fills in get a value of the kind that it gives.
fn variables_of_manifest(manifest: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut lines = manifest.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.trim().strip_prefix("- name: SETTLE__") else { continue };
        let literal = lines.peek().and_then(|next| next.trim().strip_prefix("value: "));
        let value = literal.unwrap_or(if name.ends_with("INSTANCE") { "2" } else { "a secret" });
        variables.insert(format!("SETTLE__{name}"), value.trim_matches('"').to_owned());
    }
    variables
}

fn variables_of_image(containerfile: &str) -> BTreeMap<String, String> {
    let words = containerfile.split_whitespace().filter(|word| word.starts_with("SETTLE__"));
    let pairs = words.filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn check(configuration: &str, variables: &BTreeMap<String, String>) -> Output {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("settle.toml");
    fs::write(&file, configuration).expect("the configuration can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_settle"));
    command.args(["config", "check", "--config"]).arg(&file).current_dir(folder.path()).envs(variables);
    command.output().expect("the program can be run")
}

#[test]
fn the_configuration_of_the_manifest_is_sound() {
    let manifest = manifest();
    let variables = variables_of_manifest(&manifest);
    assert!(variables.len() >= 4, "the variables were not found: {variables:?}");
    let output = check(&configuration_of(&manifest), &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The check would see it if a key were wrong.
    let wrong = configuration_of(&manifest).replace("bootstrap_servers", "bootstrap_server");
    assert_eq!(check(&wrong, &variables).status.code(), Some(2));
}

#[test]
fn the_variables_of_the_image_name_keys() {
    let variables = variables_of_image(&containerfile());
    assert!(variables.len() >= 3, "the variables were not found: {variables:?}");
    let output = check(&configuration_of(&manifest()), &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn port_probes_and_user_are_the_same_everywhere() {
    let (manifest, containerfile) = (manifest(), containerfile());
    let listen = &variables_of_image(&containerfile)["SETTLE__HTTP__LISTEN"];
    assert_eq!(listen, &variables_of_manifest(&manifest)["SETTLE__HTTP__LISTEN"]);
    let (_, port) = listen.rsplit_once(':').expect("an address has a port");
    assert!(containerfile.contains(&format!("EXPOSE {port}\n")));
    for line in ["port: PORT", "containerPort: PORT", "prometheus.io/port: \"PORT\""] {
        assert!(manifest.contains(&line.replace("PORT", port)), "{line}");
    }
    for probe in [
        "livenessProbe:\n            httpGet: { path: /livez,",
        "readinessProbe:\n            httpGet: { path: /readyz,",
    ] {
        assert!(manifest.contains(probe), "{probe}");
    }
    assert!(containerfile.contains(&format!("USER {USER}:{USER}\n")));
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert!(manifest.contains(&format!("{key}: {USER}\n")), "{key}");
    }
    let directory = "/var/lib/settle";
    assert!(containerfile.contains(&format!("VOLUME {directory}\n")));
    assert!(manifest.contains(&format!("mountPath: {directory}\n")));
    assert!(variables_of_image(&containerfile)["SETTLE__STORE__DIRECTORY"].starts_with(directory));
}
