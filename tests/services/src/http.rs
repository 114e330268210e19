//! The little of HTTP that this crate asks for itself: does it answer, with which status, and a short body.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer.
const MOST_BYTES: u64 = 4 << 20;

/// The status of a plaintext GET.
pub(crate) fn status_of(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    // "HTTP/1.1 200"
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let text = String::from_utf8_lossy(&start).into_owned();
    let status = text.rsplit(' ').next().and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other(format!("this is no answer of HTTP: {text:?}")))
}

/// The body of a plaintext GET that is answered with status 200.
pub(crate) fn body_of(url: &str) -> io::Result<String> {
    let (authority, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| io::Error::other(format!("{url} is no http:// address with a path")))?;
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // 1.0: the end of the connection is the end of the body.
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("{url} is answered with {answer:?}")));
    }
    Ok(body.to_owned())
}
