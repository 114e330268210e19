//! A TCP proxy that stands before one Kafka broker and breaks things on purpose.
//!
//! It knows the frames of the Kafka protocol, the heads of requests and the bodies of a few transactional ones:
//! enough to aim a fault at one request of one client. A fault is armed, then fires, and counts how often it did,
//! so that a test can assert that what it is about has happened. It must not know what runs through it.
//!
//! ```text
//! client ──► proxy ──► broker          the broker advertises the proxy's port
//! ```
//!
//! Only plaintext listeners: the frames have to be readable. Topics, groups and errors are none of its business.

mod connection;
mod fault;
mod flow;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use fault::{Armed, Captured, Fault, Requests, Then};
pub use wire::{EndTxn, Reply, RequestHead};

use connection::Connection;
use fault::Trap;
use flow::{Flow, locked};

/// Kinds of requests, by their number in the Kafka protocol.
pub mod api {
    /// Records to a partition.
    pub const PRODUCE: i16 = 0;
    /// Records from a partition.
    pub const FETCH: i16 = 1;
    /// Joins a classic consumer group.
    pub const JOIN_GROUP: i16 = 11;
    /// Keeps a member of a classic consumer group alive.
    pub const HEARTBEAT: i16 = 12;
    /// Which requests the broker knows.
    pub const API_VERSIONS: i16 = 18;
    /// Producer id and epoch; of a transactional producer, fences the one before.
    pub const INIT_PRODUCER_ID: i16 = 22;
    /// Partitions that a transaction writes.
    pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
    /// A group whose offsets a transaction commits.
    pub const ADD_OFFSETS_TO_TXN: i16 = 25;
    /// Commits or aborts a transaction.
    pub const END_TXN: i16 = 26;
    /// Offsets of a group, in a transaction.
    pub const TXN_OFFSET_COMMIT: i16 = 28;
    /// Joins a KIP-848 consumer group and keeps the member alive.
    pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
}

/// How long the accepting thread sleeps when nobody connects.
const ACCEPT_PAUSE: Duration = Duration::from_millis(2);

/// What all threads of a proxy share.
struct Shared {
    upstream: Mutex<SocketAddr>,
    refuses: AtomicBool,
    flow: Flow,
    traps: Mutex<Vec<Arc<Trap>>>,
    connections: Mutex<BTreeMap<u64, Arc<Connection>>>,
    seen: Mutex<BTreeMap<i16, u64>>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Shared {
    /// The first armed fault that wants the request.
    fn trap_for(&self, head: &RequestHead) -> Option<Arc<Trap>> {
        let traps = locked(&self.traps).clone();
        traps.into_iter().find(|trap| trap.takes(head))
    }

    fn count(&self, api_key: i16) {
        *locked(&self.seen).entry(api_key).or_default() += 1;
    }

    fn cut_all(&self) -> usize {
        let connections = std::mem::take(&mut *locked(&self.connections));
        for connection in connections.values() {
            connection.cut();
        }
        connections.len()
    }
}

/// A proxy before one broker. Dropping it cuts its connections and ends its threads.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1, or on a free one if `listen_port` is 0, and passes everything on to
    /// `upstream`.
    ///
    /// # Errors
    ///
    /// If the port cannot be listened on.
    pub fn start(listen_port: u16, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, listen_port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            refuses: AtomicBool::new(false),
            flow: Flow::default(),
            traps: Mutex::default(),
            connections: Mutex::default(),
            seen: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let of_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new()
            .name(format!("proxy-{}", address.port()))
            .spawn(move || accept(&listener, &of_acceptor))?;
        Ok(Self { shared, address, acceptor: Some(acceptor) })
    }

    /// The port that clients connect to; the broker has to advertise it.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections elsewhere, such as to a broker that was started after the proxy. Connections that
    /// exist stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *locked(&self.shared.upstream) = upstream;
    }

    /// Cuts every connection now, and says how many there were.
    pub fn cut_all(&self) -> usize {
        self.shared.cut_all()
    }

    /// While true, whoever connects is cut off at once. Connections that exist stay.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// While true, not a byte passes in either direction and nothing is cut: a network that is gone.
    pub fn freeze(&self, is_frozen: bool) {
        self.shared.flow.freeze(is_frozen);
    }

    /// Bytes per second of each connection and direction, at most; `None` for no limit.
    pub fn throttle(&self, bytes_per_second: Option<u32>) {
        self.shared.flow.throttle(bytes_per_second);
    }

    /// Arms a fault for the next request of this kind, once. The fault that was armed first fires first.
    pub fn arm(&self, requests: Requests, fault: Fault) -> Armed {
        self.arm_times(requests, fault, 1)
    }

    /// As [`Self::arm`], for the next `times` requests; `u64::MAX` for all until it is disarmed.
    pub fn arm_times(&self, requests: Requests, fault: Fault, times: u64) -> Armed {
        let trap = Arc::new(Trap::new(requests, fault, times));
        let mut traps = locked(&self.shared.traps);
        traps.retain(|trap| trap.is_armed());
        traps.push(Arc::clone(&trap));
        drop(traps);
        Armed::new(trap, Arc::clone(&self.shared))
    }

    /// Number of connections at this moment.
    pub fn connections(&self) -> usize {
        locked(&self.shared.connections).len()
    }

    /// Number of connections that were passed on since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Number of connections that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Number of requests of a kind (see [`api`]) that clients sent since the start, lost ones included.
    pub fn seen(&self, api_key: i16) -> u64 {
        locked(&self.shared.seen).get(&api_key).copied().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.flow.stop();
        self.shared.cut_all();
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of a thread was printed where it happened; the proxy is gone either way.
            let _ = acceptor.join();
        }
    }
}

/// Accepts until the proxy is dropped, then waits for the threads of its connections.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let mut next_id: u64 = 0;
    while !shared.flow.is_stopped() {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(_) => {
                // Nobody waits, or whoever did has gone again.
                shared.flow.sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        if shared.refuses.load(Ordering::SeqCst) {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        threads.retain(|thread| !thread.is_finished());
        next_id += 1;
        let (id, of_connection) = (next_id, Arc::clone(shared));
        let spawned = std::thread::Builder::new()
            .name(format!("proxy-connection-{id}"))
            .spawn(move || connection::run(id, client, &of_connection));
        // Without a thread the client is cut: its socket was dropped with the closure.
        threads.extend(spawned);
    }
    shared.cut_all();
    for thread in threads {
        let _ = thread.join();
    }
}

fn configured(stream: TcpStream) -> io::Result<TcpStream> {
    // What a listener accepts is as non-blocking as the listener on some systems.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod tests;
