//! As much of the Kafka protocol as aiming needs: frames, heads of requests, the first fields of transactional
//! requests, the error code of their replies. Must not know what is done with them.
//!
//! Source: the protocol guide of Apache Kafka. With flexible versions, tagged fields follow the client id, and
//! texts of the body have a variable-length length; the fields before keep their places.

use std::io::{self, Read};

use super::api;

/// The longest frame that is passed on; a broker takes 100 MiB by default.
const MAX_FRAME_BYTES: usize = 256 << 20;
/// Bytes before the content of a frame: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// The next frame, its length included; `None` where the stream ends between two frames.
pub(super) fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH_BYTES];
    let first = loop {
        match stream.read(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[first..])?;
    let content_bytes = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if content_bytes > MAX_FRAME_BYTES {
        let message = format!("a frame of {content_bytes} bytes, at most {MAX_FRAME_BYTES} were expected");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut frame = vec![0; LENGTH_BYTES + content_bytes];
    frame[..LENGTH_BYTES].copy_from_slice(&length);
    stream.read_exact(&mut frame[LENGTH_BYTES..])?;
    Ok(Some(frame))
}

/// What stands at the beginning of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Kind of request, see [`api`].
    pub api_key: i16,
    /// Version of that kind.
    pub api_version: i16,
    /// Number by which the client finds the reply.
    pub correlation_id: i32,
    /// What the client calls itself (`client.id`).
    pub client_id: Option<String>,
    /// Of transactional requests: whose transaction.
    pub transactional_id: Option<String>,
    /// Of `EndTxn`, versions 0 to 5.
    pub end: Option<EndTxn>,
}

/// The body of an `EndTxn` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTxn {
    /// Whose transaction.
    pub transactional_id: String,
    /// Id of the producer.
    pub producer_id: i64,
    /// Epoch of the producer.
    pub producer_epoch: i16,
    /// True for a commit, false for an abort.
    pub is_commit: bool,
}

/// The head of a request; `None` if the frame is too short to have one.
pub(super) fn request_head(frame: &[u8]) -> Option<RequestHead> {
    let mut fields = Fields { rest: frame.get(LENGTH_BYTES..)? };
    let api_key = fields.i16()?;
    let api_version = fields.i16()?;
    let correlation_id = fields.i32()?;
    let client_id = fields.text()?;
    let mut head =
        RequestHead { api_key, api_version, correlation_id, client_id, transactional_id: None, end: None };
    // A body that cannot be read is one that no filter on it meets.
    if let Some(body) = body_fields(fields, api_key, api_version) {
        read_transactional(&mut head, body);
    }
    Some(head)
}

/// The first version of a transactional request with tagged fields and compact texts.
fn first_flexible_version(api_key: i16) -> Option<i16> {
    match api_key {
        api::PRODUCE => Some(9),
        api::INIT_PRODUCER_ID => Some(2),
        api::ADD_PARTITIONS_TO_TXN | api::ADD_OFFSETS_TO_TXN | api::END_TXN | api::TXN_OFFSET_COMMIT => {
            Some(3)
        }
        _ => None,
    }
}

fn is_flexible(api_key: i16, api_version: i16) -> bool {
    first_flexible_version(api_key).is_some_and(|first| api_version >= first)
}

/// The body of a request whose first field is a transactional id.
fn body_fields(mut fields: Fields<'_>, api_key: i16, api_version: i16) -> Option<Fields<'_>> {
    first_flexible_version(api_key)?;
    if is_flexible(api_key, api_version) {
        fields.skip_tags()?;
    }
    // Produce names its transaction from version 3 on.
    if api_key == api::PRODUCE && api_version < 3 {
        return None;
    }
    // From version 4 on, a list of transactions: the first one counts, clients send no other.
    if api_key == api::ADD_PARTITIONS_TO_TXN && api_version >= 4 && fields.variable()? < 2 {
        return None;
    }
    Some(fields)
}

fn read_transactional(head: &mut RequestHead, mut body: Fields<'_>) {
    let is_compact = is_flexible(head.api_key, head.api_version);
    let text = if is_compact { body.compact_text() } else { body.text() };
    head.transactional_id = text.flatten();
    if head.api_key == api::END_TXN && (0..=5).contains(&head.api_version) {
        head.end = head.transactional_id.clone().and_then(|transactional_id| {
            let producer_id = body.i64()?;
            let producer_epoch = body.i16()?;
            let is_commit = body.u8()? != 0;
            Some(EndTxn { transactional_id, producer_id, producer_epoch, is_commit })
        });
    }
}

/// What the broker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The whole frame.
    pub bytes: Vec<u8>,
    /// Of `InitProducerId`, `AddOffsetsToTxn` and `EndTxn`: the error code of the protocol, 0 for none.
    pub error_code: Option<i16>,
}

impl Reply {
    /// A reply to a request of this kind and version.
    pub(super) fn new(bytes: Vec<u8>, api_key: i16, api_version: i16) -> Self {
        let error_code = reply_error_code(&bytes, api_key, api_version);
        Self { bytes, error_code }
    }
}

/// The number by which the client finds the reply; `None` if the frame is too short.
pub(super) fn correlation_id(reply: &[u8]) -> Option<i32> {
    Fields { rest: reply.get(LENGTH_BYTES..)? }.i32()
}

/// These replies begin with the time to throttle for, in ms, and the error code.
fn reply_error_code(reply: &[u8], api_key: i16, api_version: i16) -> Option<i16> {
    if !matches!(api_key, api::INIT_PRODUCER_ID | api::ADD_OFFSETS_TO_TXN | api::END_TXN) {
        return None;
    }
    let mut fields = Fields { rest: reply.get(LENGTH_BYTES..)? };
    fields.i32()?;
    if is_flexible(api_key, api_version) {
        fields.skip_tags()?;
    }
    fields.i32()?;
    fields.i16()
}

/// Reads fields from the front; every read is `None` where the bytes end.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Seven bits a byte, lowest first; the high bit says that more follow.
    fn variable(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A text with a length of two bytes; a length below zero is null.
    fn text(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Some(None) };
        self.text_of(length).map(Some)
    }

    /// A text whose variable length counts one more; zero is null.
    fn compact_text(&mut self) -> Option<Option<String>> {
        let Some(length) = self.variable()?.checked_sub(1) else { return Some(None) };
        self.text_of(usize::try_from(length).ok()?).map(Some)
    }

    fn text_of(&mut self, length: usize) -> Option<String> {
        self.take(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn skip_tags(&mut self) -> Option<()> {
        for _ in 0..self.variable()? {
            self.variable()?;
            let length = self.variable()?;
            self.take(usize::try_from(length).ok()?)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&length.to_be_bytes(), content].concat()
    }

    fn head_bytes(api_key: i16, api_version: i16, client: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(api_key.to_be_bytes());
        bytes.extend(api_version.to_be_bytes());
        bytes.extend(77_i32.to_be_bytes());
        bytes.extend(u16::try_from(client.len()).unwrap().to_be_bytes());
        bytes.extend(client);
        bytes
    }

    #[test]
    fn reads_end_txn_of_every_version() {
        for api_version in 0..=5 {
            for is_commit in [false, true] {
                let mut bytes = head_bytes(api::END_TXN, api_version, b"settle-1");
                if api_version >= 3 {
                    // One tagged field of two bytes in the header, and a compact text.
                    bytes.extend([1, 9, 2, 0xaa, 0xbb, 6]);
                } else {
                    bytes.extend([0, 5]);
                }
                bytes.extend(b"txn-1");
                bytes.extend(4_000_000_000_i64.to_be_bytes());
                bytes.extend(7_i16.to_be_bytes());
                bytes.push(u8::from(is_commit));
                let head = request_head(&frame(&bytes)).unwrap();
                assert_eq!((head.api_key, head.api_version, head.correlation_id), (26, api_version, 77));
                assert_eq!(head.client_id.as_deref(), Some("settle-1"));
                let end = EndTxn {
                    transactional_id: "txn-1".to_owned(),
                    producer_id: 4_000_000_000,
                    producer_epoch: 7,
                    is_commit,
                };
                assert_eq!(head.end, Some(end), "version {api_version}");
            }
        }
    }

    #[test]
    fn reads_the_transactional_id_of_other_requests() {
        // (kind, version, bytes before the text, the text)
        let cases: [(i16, i16, &[u8], &[u8]); 9] = [
            (api::PRODUCE, 3, &[], b"\x00\x03txn"),
            (api::PRODUCE, 9, &[0], b"\x04txn"),
            (api::INIT_PRODUCER_ID, 1, &[], b"\x00\x03txn"),
            (api::INIT_PRODUCER_ID, 4, &[0], b"\x04txn"),
            (api::ADD_PARTITIONS_TO_TXN, 2, &[], b"\x00\x03txn"),
            (api::ADD_PARTITIONS_TO_TXN, 3, &[0], b"\x04txn"),
            (api::ADD_PARTITIONS_TO_TXN, 4, &[0, 2], b"\x04txn"),
            (api::ADD_OFFSETS_TO_TXN, 3, &[0], b"\x04txn"),
            (api::TXN_OFFSET_COMMIT, 3, &[0], b"\x04txn"),
        ];
        for (api_key, api_version, before, text) in cases {
            let bytes = [&head_bytes(api_key, api_version, b"c"), before, text].concat();
            let head = request_head(&frame(&bytes)).unwrap();
            assert_eq!(head.transactional_id.as_deref(), Some("txn"), "{api_key} version {api_version}");
            assert_eq!(head.end, None);
        }
    }

    #[test]
    fn a_request_that_is_cut_anywhere_has_no_end_or_no_head() {
        let mut bytes = head_bytes(api::END_TXN, 3, b"settle-1");
        bytes.extend(b"\x00\x04txn\0\0\0\0\0\0\0\x01\0\x02\x01");
        assert!(request_head(&frame(&bytes)).unwrap().end.is_some());
        for length in 0..bytes.len() {
            let head = request_head(&frame(&bytes[..length]));
            assert!(head.is_none_or(|head| head.end.is_none()), "{length} bytes");
        }
    }

    #[test]
    fn other_requests_keep_their_client_id_and_nothing_else() {
        let head = request_head(&frame(&head_bytes(api::FETCH, 17, b"reader"))).unwrap();
        assert_eq!(head.client_id.as_deref(), Some("reader"));
        assert_eq!((head.transactional_id, head.end), (None, None));
        let mut without_client = head_bytes(api::FETCH, 17, b"");
        let length_at = without_client.len() - 2;
        without_client[length_at..].copy_from_slice(&(-1_i16).to_be_bytes());
        assert_eq!(request_head(&frame(&without_client)).unwrap().client_id, None);
    }

    #[test]
    fn reads_the_error_code_of_replies() {
        let old = frame(&[0, 0, 0, 77, 0, 0, 0, 0, 0, 51]);
        assert_eq!(Reply::new(old.clone(), api::END_TXN, 2).error_code, Some(51));
        assert_eq!(Reply::new(old, api::FETCH, 2).error_code, None);
        let flexible = frame(&[0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 90, 0]);
        assert_eq!(Reply::new(flexible.clone(), api::END_TXN, 3).error_code, Some(90));
        assert_eq!(correlation_id(&flexible), Some(77));
        assert_eq!(Reply::new(frame(&[0, 0, 0]), api::END_TXN, 3).error_code, None);
    }

    #[test]
    fn frames_end_where_their_length_says() {
        let bytes = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let mut stream = bytes.as_slice();
        assert_eq!(read_frame(&mut stream).unwrap(), Some(frame(b"one")));
        assert_eq!(read_frame(&mut stream).unwrap(), Some(frame(b"")));
        assert_eq!(read_frame(&mut stream).unwrap(), Some(frame(b"three")));
        assert_eq!(read_frame(&mut stream).unwrap(), None);
        assert!(read_frame(&mut &bytes[..5]).is_err(), "a cut frame");
        assert!(read_frame(&mut [0xff_u8; 8].as_slice()).is_err(), "a length below zero");
        assert!(read_frame(&mut b"GET / HTTP/1.1".as_slice()).is_err(), "another protocol");
    }
}
