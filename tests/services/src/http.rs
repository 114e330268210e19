//! The one question that readiness needs: does it answer, and with which status.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
