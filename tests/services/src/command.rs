//! Runs a program to its end, in bounded time, with bytes for its standard input.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Error, Result, wait};

/// Longest time that a program may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program wrote that ended well.
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs a program; `name` is for people. An error if it ends with another code than 0, or not within two minutes.
pub(crate) fn run(mut command: Command, name: &str, input: Vec<u8>) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("run {name} by {}", command.get_program().to_string_lossy())))?;
    let mut stdin = child.stdin.take();
    // A program that ends without reading all of it is judged by its status, not by the broken pipe.
    let writer = thread::spawn(move || stdin.as_mut().map(|pipe| pipe.write_all(&input)));
    let ended = output_within(child, name);
    let _ = writer.join();
    let (status, stdout, stderr) = ended?;
    let status = match status {
        Some(status) if status.success() => return Ok(Output { stdout, stderr }),
        Some(status) => status.to_string(),
        None => format!("nothing within {PATIENCE:?}, and was killed"),
    };
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    Err(Error::Tool { tool: name.to_owned(), status, stdout, stderr })
}

/// Waits for the end of a program while two threads empty its pipes; no status if it had to be killed.
fn output_within(mut child: Child, name: &str) -> Result<(Option<ExitStatus>, Vec<u8>, String)> {
    let stdout = child.stdout.take().map(read_in_background);
    let stderr = child.stderr.take().map(read_in_background);
    let ended = wait::until(PATIENCE, || {
        let status = child.try_wait().map_err(Error::io(format!("wait for the end of {name}")))?;
        Ok::<_, Error>(status.ok_or_else(String::new))
    })?;
    if ended.is_err() {
        child.kill().map_err(Error::io(format!("kill {name}")))?;
        child.wait().map_err(Error::io(format!("wait for the end of {name}")))?;
    }
    let bytes = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
        reader.map(|reader| reader.join().expect("a reader does not panic")).unwrap_or_default()
    };
    let (stdout, stderr) = (bytes(stdout), bytes(stderr));
    Ok((ended.ok(), stdout, String::from_utf8_lossy(&stderr).into_owned()))
}

fn read_in_background(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a read error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
