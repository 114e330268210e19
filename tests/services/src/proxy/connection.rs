//! One connection of a client and its twin to the broker: a thread for each direction. Applies the faults that
//! were armed; must not know why.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fault::{Captured, Fault, Then, Trap};
use super::flow::locked;
use super::wire::{Reply, correlation_id, read_frame, request_head};
use super::{Shared, configured};

/// How long the broker has for accepting a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A request whose reply is to be lost.
struct Awaited {
    trap: Arc<Trap>,
    captured: Captured,
    then: Then,
}

/// Two sockets that belong together.
pub(super) struct Connection {
    client: TcpStream,
    upstream: TcpStream,
    awaited: Mutex<BTreeMap<i32, Awaited>>,
}

impl Connection {
    /// Ends both sides; their threads see it at once.
    pub(super) fn cut(&self) {
        // A side that is gone already cannot be shut down: that is what was asked for.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.upstream.shutdown(Shutdown::Both);
    }

    /// Passes requests on until the connection ends.
    fn requests(&self, shared: &Shared) -> io::Result<()> {
        while let Some(frame) = read_frame(&mut &self.client)? {
            let Some(head) = request_head(&frame) else {
                shared.flow.write(&self.upstream, &frame)?;
                continue;
            };
            shared.count(head.api_key);
            let Some(trap) = shared.trap_for(&head) else {
                shared.flow.write(&self.upstream, &frame)?;
                continue;
            };
            let correlation_id = head.correlation_id;
            let captured = Captured { head, request: frame, reply: None };
            match trap.fault {
                Fault::LoseRequest(Then::Keep) => trap.fired(captured),
                Fault::LoseRequest(Then::Cut) => {
                    self.cut();
                    trap.fired(captured);
                    return Ok(());
                }
                Fault::LoseReply(then) => {
                    // Before the request goes on: its reply may be there before this thread runs again.
                    let request = captured.request.clone();
                    locked(&self.awaited).insert(correlation_id, Awaited { trap, captured, then });
                    shared.flow.write(&self.upstream, &request)?;
                }
                Fault::Copy => {
                    shared.flow.write(&self.upstream, &captured.request)?;
                    trap.fired(captured);
                }
                Fault::Delay(duration) => {
                    shared.flow.sleep(duration);
                    shared.flow.write(&self.upstream, &captured.request)?;
                    trap.fired(captured);
                }
            }
        }
        Ok(())
    }

    /// Passes replies back until the connection ends.
    fn replies(&self, shared: &Shared) -> io::Result<()> {
        while let Some(frame) = read_frame(&mut &self.upstream)? {
            let awaited = correlation_id(&frame).and_then(|id| locked(&self.awaited).remove(&id));
            let Some(Awaited { trap, mut captured, then }) = awaited else {
                shared.flow.write(&self.client, &frame)?;
                continue;
            };
            captured.reply = Some(Reply::new(frame, captured.head.api_key, captured.head.api_version));
            if then == Then::Cut {
                self.cut();
            }
            trap.fired(captured);
            if then == Then::Cut {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Serves a client until either side ends the connection.
pub(super) fn run(id: u64, client: TcpStream, shared: &Shared) {
    let upstream = *locked(&shared.upstream);
    let upstream = TcpStream::connect_timeout(&upstream, CONNECT_TIMEOUT).and_then(configured);
    // Without a broker the client is cut: its socket is dropped here.
    let (Ok(client), Ok(upstream)) = (configured(client), upstream) else { return };
    let connection = Arc::new(Connection { client, upstream, awaited: Mutex::default() });
    locked(&shared.connections).insert(id, Arc::clone(&connection));
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    // Who stopped the proxy may have cut its connections before this one was among them.
    if shared.flow.is_stopped() {
        connection.cut();
    }
    std::thread::scope(|scope| {
        let replies = std::thread::Builder::new().name(format!("proxy-replies-{id}"));
        let spawned = replies.spawn_scoped(scope, || {
            // An error is the end of the connection, as good as any other.
            let _ = connection.replies(shared);
            connection.cut();
        });
        if spawned.is_ok() {
            let _ = connection.requests(shared);
        }
        connection.cut();
    });
    locked(&shared.connections).remove(&id);
}
