//! The proxy before a small server that speaks the frames of Kafka and remembers what it was asked.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::*;

/// Bounds every wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough that something that is held back would have come.
const MOMENT: Duration = Duration::from_millis(150);

/// Answers every request with its correlation id, a throttle time and the error code 0, and as much padding as
/// its last four bytes ask for if it is a `Fetch`.
struct Server {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (received, is_stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (of_thread, stop) = (Arc::clone(&received), Arc::clone(&is_stopped));
        let thread = std::thread::spawn(move || {
            let mut threads = Vec::new();
            let mut streams = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (received, of_client) = (Arc::clone(&of_thread), stream.try_clone().unwrap());
                streams.push(stream);
                threads.push(std::thread::spawn(move || serve(of_client, &received)));
            }
            for stream in streams {
                let _ = stream.shutdown(Shutdown::Both);
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Self { address, received, is_stopped, thread: Some(thread) }
    }

    fn received(&self) -> Vec<Vec<u8>> {
        locked(&self.received).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Vec<u8>>>) {
    while let Ok(Some(frame)) = wire::read_frame(&mut stream) {
        let head = wire::request_head(&frame).unwrap();
        locked(received).push(frame.clone());
        let mut reply = head.correlation_id.to_be_bytes().to_vec();
        reply.extend([0; 6]);
        if head.api_key == api::FETCH {
            let padding = u32::from_be_bytes(*frame.last_chunk().unwrap());
            reply.resize(reply.len() + usize::try_from(padding).unwrap(), 7);
        }
        let length = u32::try_from(reply.len()).unwrap();
        if stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).is_err() {
            return;
        }
    }
}

fn request(api_key: i16, correlation_id: i32, client_id: &str, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(api_key.to_be_bytes());
    content.extend(0_i16.to_be_bytes());
    content.extend(correlation_id.to_be_bytes());
    content.extend(u16::try_from(client_id.len()).unwrap().to_be_bytes());
    content.extend(client_id.as_bytes());
    content.extend(body);
    [&u32::try_from(content.len()).unwrap().to_be_bytes(), content.as_slice()].concat()
}

fn end_txn(correlation_id: i32, transactional_id: &str, is_commit: bool) -> Vec<u8> {
    let mut body = u16::try_from(transactional_id.len()).unwrap().to_be_bytes().to_vec();
    body.extend(transactional_id.as_bytes());
    body.extend(9_i64.to_be_bytes());
    body.extend(3_i16.to_be_bytes());
    body.push(u8::from(is_commit));
    request(api::END_TXN, correlation_id, "settle-1", &body)
}

struct Client(TcpStream);

impl Client {
    fn connect(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Correlation id of the next reply; `None` if the connection has ended.
    fn answer(&mut self) -> Option<i32> {
        match wire::read_frame(&mut self.0) {
            Ok(frame) => frame.map(|frame| wire::correlation_id(&frame).unwrap()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("neither a reply nor an end within {PATIENCE:?}")
            }
            Err(_) => None,
        }
    }

    /// True if nothing comes for a moment.
    fn is_quiet(&mut self) -> bool {
        self.0.set_read_timeout(Some(MOMENT)).unwrap();
        let read = self.0.read(&mut [0; 1]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(read, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }
}

fn started() -> (Server, Proxy) {
    let server = Server::start();
    let proxy = Proxy::start(0, server.address).unwrap();
    (server, proxy)
}

#[test]
fn passes_everything_in_order() {
    let (server, proxy) = started();
    let mut client = Client::connect(&proxy);
    let requests: Vec<_> = (0..20)
        .map(|number| request(api::PRODUCE, number, "a", &[7; 1000][..50 * usize::try_from(number).unwrap()]))
        .collect();
    client.send(&requests.concat());
    for number in 0..20 {
        assert_eq!(client.answer(), Some(number));
    }
    assert_eq!(server.received(), requests);
    assert_eq!((proxy.seen(api::PRODUCE), proxy.seen(api::FETCH)), (20, 0));
    assert_eq!((proxy.connections(), proxy.accepted(), proxy.refused()), (1, 1, 0));
}

#[test]
fn cuts_what_is_there_and_refuses_what_comes() {
    let (_server, proxy) = started();
    let mut client = Client::connect(&proxy);
    client.send(&request(api::HEARTBEAT, 1, "a", &[]));
    assert_eq!(client.answer(), Some(1));
    proxy.refuse(true);
    assert_eq!(proxy.cut_all(), 1);
    assert_eq!(client.answer(), None);
    assert_eq!(Client::connect(&proxy).answer(), None);
    assert_eq!((proxy.accepted(), proxy.refused()), (1, 1));
    proxy.refuse(false);
    let mut again = Client::connect(&proxy);
    again.send(&request(api::HEARTBEAT, 2, "a", &[]));
    assert_eq!(again.answer(), Some(2));
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn loses_a_request_and_cuts() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::of(api::JOIN_GROUP), Fault::LoseRequest(Then::Cut));
    let mut client = Client::connect(&proxy);
    client.send(&request(api::FETCH, 1, "a", &[0; 4]));
    assert_eq!(client.answer(), Some(1));
    assert_eq!(armed.fired(), 0);
    client.send(&request(api::JOIN_GROUP, 2, "a", &[]));
    assert_eq!(client.answer(), None);
    assert!(armed.wait_fired(1, PATIENCE));
    assert_eq!(server.received().len(), 1, "the broker has not seen it");
    let mut again = Client::connect(&proxy);
    again.send(&request(api::JOIN_GROUP, 3, "a", &[]));
    assert_eq!(again.answer(), Some(3), "once is once");
}

#[test]
fn loses_a_request_and_keeps_the_connection() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::commits(), Fault::LoseRequest(Then::Keep));
    let mut client = Client::connect(&proxy);
    client.send(
        &[end_txn(1, "t", false), end_txn(2, "t", true), request(api::HEARTBEAT, 3, "a", &[])].concat(),
    );
    assert_eq!((client.answer(), client.answer()), (Some(1), Some(3)));
    assert_eq!(armed.fired(), 1);
    assert_eq!(server.received().len(), 2);
    let captured = armed.captured().remove(0);
    let end = EndTxn { transactional_id: "t".to_owned(), producer_id: 9, producer_epoch: 3, is_commit: true };
    assert_eq!(captured.head.end, Some(end));
    // The lost request arrives late after all.
    assert_eq!(armed.replay().unwrap().error_code, Some(0));
    assert_eq!(server.received().last(), Some(&end_txn(2, "t", true)));
}

#[test]
fn loses_a_reply_and_cuts() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::commits().of_transaction("t"), Fault::LoseReply(Then::Cut));
    let mut client = Client::connect(&proxy);
    client.send(&end_txn(1, "other", true));
    assert_eq!(client.answer(), Some(1));
    client.send(&end_txn(2, "t", true));
    assert_eq!(client.answer(), None);
    assert!(armed.wait_fired(1, PATIENCE));
    assert_eq!(server.received().len(), 2, "the broker has seen it");
    let reply = armed.captured().remove(0).reply.unwrap();
    assert_eq!(reply.error_code, Some(0));
}

#[test]
fn loses_a_reply_and_keeps_the_connection() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::of(api::END_TXN), Fault::LoseReply(Then::Keep));
    let mut client = Client::connect(&proxy);
    client.send(&[end_txn(1, "t", true), end_txn(2, "t", true)].concat());
    assert_eq!(client.answer(), Some(2));
    assert!(client.is_quiet());
    assert_eq!(armed.fired(), 1);
    assert_eq!(server.received().len(), 2);
}

#[test]
fn a_copy_arrives_later_byte_for_byte() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::commits(), Fault::Copy);
    assert!(armed.replay().is_err(), "nothing to replay yet");
    let mut client = Client::connect(&proxy);
    client.send(&end_txn(1, "t", true));
    assert_eq!(client.answer(), Some(1));
    client.send(&end_txn(2, "t", false));
    assert_eq!(client.answer(), Some(2));
    let reply = armed.replay().unwrap();
    assert_eq!((wire::correlation_id(&reply.bytes), reply.error_code), (Some(1), Some(0)));
    assert_eq!(server.received(), [end_txn(1, "t", true), end_txn(2, "t", false), end_txn(1, "t", true)]);
    assert_eq!(armed.fired(), 1, "a replay is no request of a client");
}

#[test]
fn only_the_client_that_was_meant_is_harmed() {
    let (_server, proxy) = started();
    let requests = Requests::of(api::PRODUCE).from_client("settle-2");
    let armed = proxy.arm_times(requests, Fault::LoseRequest(Then::Cut), u64::MAX);
    let mut other = Client::connect(&proxy);
    other.send(&request(api::PRODUCE, 1, "settle-1", &[]));
    assert_eq!(other.answer(), Some(1));
    for times in 1..=3 {
        let mut meant = Client::connect(&proxy);
        meant.send(&request(api::PRODUCE, 1, "settle-2-producer", &[]));
        assert_eq!(meant.answer(), None);
        assert!(armed.wait_fired(times, PATIENCE));
    }
    armed.disarm();
    let mut meant = Client::connect(&proxy);
    meant.send(&request(api::PRODUCE, 1, "settle-2-producer", &[]));
    assert_eq!(meant.answer(), Some(1));
    assert_eq!(armed.fired(), 3);
}

#[test]
fn faults_fire_in_the_order_in_which_they_were_armed() {
    let (_server, proxy) = started();
    let first = proxy.arm(Requests::of(api::PRODUCE), Fault::LoseReply(Then::Keep));
    let second = proxy.arm(Requests::of(api::PRODUCE), Fault::LoseRequest(Then::Cut));
    let mut client = Client::connect(&proxy);
    client.send(&request(api::PRODUCE, 1, "a", &[]));
    assert!(first.wait_fired(1, PATIENCE));
    assert_eq!(second.fired(), 0);
    assert!(!second.wait_fired(1, MOMENT));
    client.send(&request(api::PRODUCE, 2, "a", &[]));
    assert_eq!(client.answer(), None);
    assert!(second.wait_fired(1, PATIENCE));
}

#[test]
fn a_delayed_request_holds_what_follows_on_its_connection() {
    let (server, proxy) = started();
    let armed = proxy.arm(Requests::of(api::PRODUCE), Fault::Delay(2 * MOMENT));
    let mut delayed = Client::connect(&proxy);
    delayed.send(&[request(api::PRODUCE, 1, "a", &[]), request(api::HEARTBEAT, 2, "a", &[])].concat());
    assert!(delayed.is_quiet());
    assert_eq!(armed.fired(), 0);
    let mut other = Client::connect(&proxy);
    other.send(&request(api::PRODUCE, 3, "b", &[]));
    assert_eq!(other.answer(), Some(3), "another connection goes on");
    assert_eq!((delayed.answer(), delayed.answer()), (Some(1), Some(2)));
    assert_eq!((armed.fired(), server.received().len()), (1, 3));
}

#[test]
fn a_throttled_reply_takes_its_time() {
    let (_server, proxy) = started();
    proxy.throttle(Some(10_000));
    let mut client = Client::connect(&proxy);
    client.send(&request(api::FETCH, 1, "a", &50_000_u32.to_be_bytes()));
    std::thread::sleep(MOMENT);
    client.0.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 60_000];
    let mut arrived = 0;
    while let Ok(count) = client.0.read(&mut buffer[arrived..]) {
        arrived += count;
    }
    assert!(arrived < 50_000, "{arrived} bytes of five seconds came in a moment");
    client.0.set_nonblocking(false).unwrap();
    proxy.throttle(None);
    client.0.read_exact(&mut buffer[arrived..4 + 10 + 50_000]).unwrap();
}

#[test]
fn a_frozen_connection_is_not_cut_and_goes_on() {
    let (server, proxy) = started();
    let mut client = Client::connect(&proxy);
    client.send(&request(api::PRODUCE, 1, "a", &[]));
    assert_eq!(client.answer(), Some(1));
    proxy.freeze(true);
    client.send(&request(api::PRODUCE, 2, "a", &[]));
    assert!(client.is_quiet());
    assert_eq!(server.received().len(), 1);
    proxy.freeze(false);
    assert_eq!(client.answer(), Some(2));
}

#[test]
fn without_a_broker_the_client_is_cut_until_there_is_one() {
    let gone = Server::start().address;
    let proxy = Proxy::start(0, gone).unwrap();
    assert_eq!(Client::connect(&proxy).answer(), None);
    let server = Server::start();
    proxy.set_upstream(server.address);
    let mut client = Client::connect(&proxy);
    client.send(&request(api::PRODUCE, 1, "a", &[]));
    assert_eq!(client.answer(), Some(1));
}

#[test]
fn what_is_no_frame_ends_its_connection_alone() {
    let (_server, proxy) = started();
    let mut other = Client::connect(&proxy);
    let mut strange = Client::connect(&proxy);
    strange.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(strange.answer(), None);
    other.send(&request(api::PRODUCE, 1, "a", &[]));
    assert_eq!(other.answer(), Some(1));
}

#[test]
fn dropping_ends_held_frozen_and_idle_connections() {
    let (_server, proxy) = started();
    let armed = proxy.arm(Requests::of(api::PRODUCE), Fault::Delay(Duration::from_secs(3600)));
    let mut idle = Client::connect(&proxy);
    idle.send(&request(api::HEARTBEAT, 1, "a", &[]));
    assert_eq!(idle.answer(), Some(1));
    let mut held = Client::connect(&proxy);
    held.send(&request(api::PRODUCE, 2, "a", &[]));
    assert!(held.is_quiet());
    proxy.freeze(true);
    let port = proxy.port();
    drop(proxy);
    assert_eq!((idle.answer(), held.answer()), (None, None));
    let _ = armed.fired();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "the port is free");
}
