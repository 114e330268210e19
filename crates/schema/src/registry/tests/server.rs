//! A small HTTP server: canned answers by method and path, one request a connection, plain or over TLS.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest wait for a client's next byte.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(super) enum Canned {
    /// Answers with a status and a body.
    Answer(u16, String),
    /// Answers after a while.
    Late(Duration, u16, String),
    /// Closes the connection.
    Close,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

#[derive(Debug, Default)]
struct Script {
    /// By "GET /path"; the last answer of a list stays.
    answers: BTreeMap<String, Vec<Canned>>,
    seen: Vec<Seen>,
}

/// The server. Ends when it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    script: Arc<Mutex<Script>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(None)
    }

    pub(super) fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::start_with(Some(Arc::new(config)))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let script = Arc::new(Mutex::new(Script::default()));
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (theirs, stopping) = (Arc::clone(&script), Arc::clone(&is_stopping));
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (script, tls) = (Arc::clone(&theirs), tls.clone());
                // A client that gives up is part of the tests.
                connections.push(std::thread::spawn(move || drop(serve(stream, tls, &script))));
            }
            for connection in connections {
                let _ = connection.join();
            }
        });
        Self { address, scheme, script, is_stopping, thread: Some(thread) }
    }

    pub(super) fn url(&self) -> String {
        // Certificates of the tests are for a name.
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// What is answered from now on.
    pub(super) fn set(&self, request: &str, answers: &[Canned]) -> &Self {
        let mut script = self.script.lock().expect("no test panics under the lock");
        // Answers are taken from the end.
        script.answers.insert(request.to_owned(), answers.iter().rev().cloned().collect());
        self
    }

    /// One answer, for ever.
    pub(super) fn answer(&self, request: &str, status: u16, body: impl Into<String>) -> &Self {
        self.set(request, &[Canned::Answer(status, body.into())])
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("no test panics under the lock").seen.clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    script: &Mutex<Script>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(READ_TIMEOUT))?;
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
    };
    let Some(seen) = read_request(&mut stream)? else { return Ok(()) };
    let canned = {
        let mut script = script.lock().expect("no test panics under the lock");
        script.seen.push(seen.clone());
        match script.answers.get_mut(&seen.line) {
            Some(answers) if answers.len() > 1 => answers.pop().expect("more than one"),
            Some(answers) => answers.last().cloned().expect("at least one"),
            None => Canned::Answer(404, format!("no test expects {}", seen.line)),
        }
    };
    let (status, body) = match canned {
        Canned::Close => return Ok(()),
        Canned::Answer(status, body) => (status, body),
        Canned::Late(pause, status, body) => {
            std::thread::sleep(pause);
            (status, body)
        }
    };
    let location = if (300..400).contains(&status) { "Location: http://localhost:1/\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} Canned\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

fn read_request(stream: &mut dyn Stream) -> std::io::Result<Option<Seen>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    assert!(length < 1 << 20, "a request of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Ok(Some(Seen { line, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}
