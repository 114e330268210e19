//! `confluent-kafka`, in a virtual environment that `scripts/python_clients.sh` makes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::install::printed_path;
use crate::kafka::Cluster;
use crate::registry::Registry;
use crate::{Result, command};

pub(super) fn write(
    cluster: &Cluster,
    registry: &Registry,
    topic: &str,
    key_field: &str,
    objects: &[Value],
) -> Result<()> {
    run("write.py", &[&cluster.bootstrap(), &registry.url(), topic, key_field], super::lines_of(objects))?;
    Ok(())
}

pub(super) fn read(cluster: &Cluster, registry: &Registry, topic: &str) -> Result<Vec<Value>> {
    let text = run("read.py", &[&cluster.bootstrap(), &registry.url(), topic], String::new())?;
    super::objects_of("read.py", &text)
}

fn run(program: &str, arguments: &[&str], input: String) -> Result<String> {
    let interpreter = printed_path("python_clients.sh")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(program);
    let mut python = Command::new("setpriv");
    python.args(["--pdeathsig", "KILL", "--"]).arg(interpreter).arg(path).args(arguments);
    // Neither the user's packages nor a proxy for the registry on this machine.
    python.env("PYTHONNOUSERSITE", "1").env("NO_PROXY", "127.0.0.1").env("PYTHONWARNINGS", "ignore");
    let output = command::run(python, program, input.into_bytes())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
