//! A reverse proxy that asks for a password, or speaks TLS, or both, before it passes a request on.
//!
//! One request per connection, and it says so: `Connection: close`. It must not know what the requests mean.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::tls::Identity;
use crate::{Error, Port, Result, base64};

/// Longest wait for the next bytes of a request or an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the accepting thread sleeps when nobody connects.
const ACCEPT_PAUSE: Duration = Duration::from_millis(2);
/// Longest request line and headers.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Longest body: more than the largest schema.
const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// A listener before a service. Dropping it closes the port.
#[derive(Debug)]
pub(super) struct Gate {
    port: Port,
    uses_tls: bool,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection needs to know.
struct Rules {
    upstream: SocketAddr,
    /// The value that the header `Authorization` must have.
    authorization: Option<String>,
    tls: Option<Arc<ServerConfig>>,
}

impl Gate {
    /// Listens before `upstream`.
    pub(super) fn start(
        upstream: SocketAddr,
        password: Option<&(String, String)>,
        identity: Option<&Identity>,
    ) -> Result<Self> {
        let authorization = password.map(|(name, password)| {
            format!("Basic {}", base64::standard(format!("{name}:{password}").as_bytes()))
        });
        let tls = identity.map(server_config).transpose()?;
        let uses_tls = tls.is_some();
        let port = Port::lease()?;
        let listening = || format!("listen on port {}", port.number());
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).map_err(Error::io(listening()))?;
        listener.set_nonblocking(true).map_err(Error::io(listening()))?;
        let ends = Arc::new(AtomicBool::new(false));
        let rules = Arc::new(Rules { upstream, authorization, tls });
        let thread = thread::spawn({
            let ends = Arc::clone(&ends);
            move || accept(&listener, &rules, &ends)
        });
        Ok(Self { port, uses_tls, ends, thread: Some(thread) })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(super) fn uses_tls(&self) -> bool {
        self.uses_tls
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only accepts; whatever a connection did wrong stayed in the thread of that connection.
            let _ = thread.join();
        }
    }
}

fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let refused =
        |detail: String| Error::Certificate { what: "the settings of a TLS server".to_owned(), detail };
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem().as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| refused(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes())
        .map_err(|error| refused(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(config))
}

fn accept(listener: &TcpListener, rules: &Arc<Rules>, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let rules = Arc::clone(rules);
        thread::spawn(move || {
            // A client that goes away, or does not trust the certificate, is the test's business.
            let _ = serve(client, &rules);
        });
    }
}

fn serve(client: TcpStream, rules: &Rules) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let Some(config) = &rules.tls else {
        return answer(&mut &client, rules);
    };
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, client);
    let outcome = answer(&mut stream, rules);
    stream.conn.send_close_notify();
    stream.flush()?;
    outcome
}

fn answer(client: &mut (impl Read + Write), rules: &Rules) -> io::Result<()> {
    let (head, mut body) = read_head(client)?;
    let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    if length > MOST_BODY_BYTES || header(&head, "transfer-encoding").is_some() {
        return refuse(client, "413 Content Too Large", 413, "this gate takes bodies of known, small length");
    }
    if header(&head, "expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let missing = length.saturating_sub(body.len());
    let start = body.len();
    body.resize(start + missing, 0);
    client.read_exact(&mut body[start..])?;
    if rules.authorization.is_some() && header(&head, "authorization") != rules.authorization.as_deref() {
        return refuse(
            client,
            "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"registry\"",
            401,
            "Unauthorized",
        );
    }
    let Ok(mut upstream) = TcpStream::connect_timeout(&rules.upstream, PATIENCE) else {
        return refuse(client, "502 Bad Gateway", 502, "the registry does not listen");
    };
    upstream.set_read_timeout(Some(PATIENCE))?;
    upstream.write_all(closing(&head).as_bytes())?;
    upstream.write_all(&body)?;
    let (head, rest) = read_head(&mut upstream)?;
    client.write_all(closing(&head).as_bytes())?;
    client.write_all(&rest)?;
    io::copy(&mut upstream, client)?;
    client.flush()
}

/// Reads to the end of the headers; what came after them is the start of the body.
fn read_head(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = String::from_utf8(bytes).map_err(io::Error::other)?;
            return Ok((head, rest));
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 || bytes.len() > MOST_HEAD_BYTES {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// A header's value, by its name in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The same head, saying that the connection ends with this request.
fn closing(head: &str) -> String {
    let kept = head.lines().filter(|line| !line.is_empty()).filter(|line| {
        !line.split_once(':').is_some_and(|(name, _)| {
            name.eq_ignore_ascii_case("connection") || name.eq_ignore_ascii_case("expect")
        })
    });
    let mut text: String = kept.map(|line| format!("{line}\r\n")).collect();
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// An answer of its own, in the form of the registry's errors.
fn refuse(client: &mut impl Write, status: &str, code: u16, message: &str) -> io::Result<()> {
    let body = format!("{{\"error_code\":{code},\"message\":\"{message}\"}}");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())?;
    client.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_passed_on_without_its_promise_to_stay() {
        let head = "GET /a HTTP/1.1\r\nHost: b\r\nConnection: keep-alive\r\nAuthorization: Basic x\r\n\r\n";
        assert_eq!(header(head, "authorization"), Some("Basic x"));
        assert_eq!(header(head, "content-length"), None);
        assert_eq!(
            closing(head),
            "GET /a HTTP/1.1\r\nHost: b\r\nAuthorization: Basic x\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_request_without_the_password_never_reaches_the_service() {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        service.set_nonblocking(true).expect("it can be set");
        let upstream = service.local_addr().expect("it is bound");
        let password = ("alice".to_owned(), "secret".to_owned());
        let gate = Gate::start(upstream, Some(&password), None).expect("it listens");
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, gate.port())).expect("it accepts");
        client
            .write_all(b"GET / HTTP/1.1\r\nAuthorization: Basic YWxpY2U6d3Jvbmc=\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
        assert!(service.accept().is_err(), "the service was asked");
    }
}
