//! The calls of librdkafka that its Rust crate lacks. The one place of the workspace with `unsafe` code.
//!
//! Owns raw pointers from where they come to where they are given back: nothing above sees one. Needed for
//! - fetching a batch of records with one call, and positions that count the commit markers no reader sees,
//! - the generation and member id in a group's metadata,
//! - a topic's id and the operations that the client may do with it.
#![expect(unsafe_code, reason = "calls of librdkafka that the crate rdkafka lacks")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

/// Milliseconds for a call of librdkafka, where below zero would mean: without end.
fn milliseconds(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}

/// Has a producer send what it holds without waiting for more; returns when nothing is left, or after `timeout`. What is
/// acknowledged counts as left until its event is served, which this call does not.
pub(super) fn flush<C: ClientContext>(client: &Client<C>, timeout: Duration) {
    // SAFETY: the client lives. An error says that something is left, which the caller finds out anyway.
    let _ = unsafe { sys::rd_kafka_flush(client.native_ptr(), milliseconds(timeout)) };
}

/// A queue of events or records of a client. It must be dropped before its client.
pub(super) struct Queue {
    pointer: NonNull<sys::rd_kafka_queue_t>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; the pointers in `messages` live only within one call.
unsafe impl Send for Queue {}

/// A fetched record; it borrows from librdkafka until the batch is given back.
pub(super) struct Message<'a> {
    pub(super) topic: &'a [u8],
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) error: Option<RDKafkaErrorCode>,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    raw: &'a sys::rd_kafka_message_t,
}

impl Queue {
    /// The queue to which a client that was told its partitions delivers their records.
    pub(super) fn of_consumer<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client lives; the returned reference is counted and given back in `drop`.
        let pointer = unsafe { sys::rd_kafka_queue_get_consumer(client.native_ptr()) };
        Some(Self { pointer: NonNull::new(pointer)?, messages: Vec::new() })
    }

    /// Hands at most `limit` records to `each`, waiting up to `timeout` for the first.
    pub(super) fn consume(
        &mut self,
        limit: usize,
        timeout: Duration,
        mut each: impl FnMut(&Message<'_>),
    ) -> usize {
        if timeout.is_zero() {
            return self.take(limit, timeout, &mut each);
        }
        // Asked for more than one, librdkafka waits until it has them all.
        match self.take(1, timeout, &mut each) {
            0 => 0,
            first => first + self.take(limit.saturating_sub(first), Duration::ZERO, &mut each),
        }
    }

    fn take(&mut self, limit: usize, timeout: Duration, each: &mut impl FnMut(&Message<'_>)) -> usize {
        if limit == 0 {
            return 0;
        }
        self.messages.resize(limit, ptr::null_mut());
        // SAFETY: the array has room for as many pointers as it says; what was written is given back below.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.pointer.as_ptr(),
                milliseconds(timeout),
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        let count = usize::try_from(count).unwrap_or(0);
        for pointer in &self.messages[..count] {
            // SAFETY: librdkafka wrote a valid message there, which lives until it is destroyed, after its last use.
            unsafe {
                each(&Message::of(&**pointer));
                sys::rd_kafka_message_destroy(*pointer);
            }
        }
        count
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference taken in `of_consumer` is given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.pointer.as_ptr()) }
    }
}

impl<'a> Message<'a> {
    /// # Safety
    /// `raw` is a message of librdkafka that is not destroyed within `'a`.
    unsafe fn of(raw: &'a sys::rd_kafka_message_t) -> Self {
        let is_error = raw.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        // SAFETY: as the caller promises; `rkt` is null for errors that concern no topic.
        unsafe {
            Self {
                topic: if raw.rkt.is_null() {
                    &[]
                } else {
                    CStr::from_ptr(sys::rd_kafka_topic_name(raw.rkt)).to_bytes()
                },
                partition: raw.partition,
                offset: raw.offset,
                error: is_error.then(|| raw.err.into()),
                timestamp_ms: if is_error {
                    -1
                } else {
                    sys::rd_kafka_message_timestamp(raw, ptr::null_mut())
                },
                key: bytes(raw.key, raw.key_len),
                // An error's payload is its text.
                value: bytes(raw.payload, raw.len),
                raw,
            }
        }
    }

    /// Hands each header, name and value, to `each`.
    pub(super) fn each_header(&self, mut each: impl FnMut(&[u8], &[u8])) {
        // SAFETY: the message lives, and the headers with it; librdkafka writes what it says that it found.
        unsafe {
            let mut headers = ptr::null_mut();
            let found = sys::rd_kafka_message_headers(self.raw, &raw mut headers);
            if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            for index in 0.. {
                let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
                let found = sys::rd_kafka_header_get_all(
                    headers,
                    index,
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                );
                if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                each(CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), size).unwrap_or_default());
            }
        }
    }
}

/// # Safety
/// `pointer` is null, or `size` bytes can be read there within `'a`.
unsafe fn bytes<'a>(pointer: *mut c_void, size: usize) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().cast_const(), size) })
}

/// Writes into `list` where the client's reading stands: after the last record handed out, and after the markers and
/// aborted records that follow it. What was not read yet gets no offset.
pub(super) fn fill_positions<C: ClientContext>(client: &Client<C>, list: &TopicPartitionList) {
    // SAFETY: both live; librdkafka writes offsets into the list's own elements.
    unsafe {
        sys::rd_kafka_position(client.native_ptr(), list.ptr());
    }
}

/// The end of a partition as of the last fetch, without a question to the cluster; none before the first.
pub(super) fn fetched_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<u64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client and name live; librdkafka writes two numbers.
    let found = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    // Below zero: nothing was fetched yet.
    let is_known = found == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    if is_known { u64::try_from(high).ok() } else { None }
}

/// Generation and member id that a client has in its group now: -1 and empty if it has none.
pub(super) fn membership<C: ClientContext>(client: &Client<C>) -> (i32, String) {
    // SAFETY: the client lives; the metadata is destroyed after the text was copied.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(client.native_ptr());
        if metadata.is_null() {
            return (-1, String::new());
        }
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member_id = text(sys::rd_kafka_consumer_group_metadata_member_id(metadata));
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        (generation, member_id)
    }
}

/// The code and text of an error that ended the client for good, if there is one.
pub(super) fn fatal_error<C: ClientContext>(client: &Client<C>) -> Option<(RDKafkaErrorCode, String)> {
    let mut buffer: [c_char; 512] = [0; 512];
    // SAFETY: the client lives, the buffer has the size that is named, and librdkafka ends the text with a zero.
    unsafe {
        let code = sys::rd_kafka_fatal_error(client.native_ptr(), buffer.as_mut_ptr(), buffer.len());
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        Some((code.into(), text(buffer.as_ptr())))
    }
}

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DescribedTopic {
    pub(super) name: String,
    /// The id that the cluster gave the topic: another one means another topic of the same name.
    pub(super) id: String,
    pub(super) partitions: u32,
    pub(super) may_read: bool,
    pub(super) may_write: bool,
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// Asks the cluster about topics.
pub(super) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<DescribedTopic>, RDKafkaErrorCode> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let handle = client.native_ptr();
    // SAFETY: every object made here is destroyed here, after its last use; the names outlive the request, which
    // librdkafka copies. The results belong to the event.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let mut reason: [c_char; 256] = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            milliseconds(timeout),
            reason.as_mut_ptr(),
            reason.len(),
        );
        let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !refused.is_null() {
            sys::rd_kafka_error_destroy(refused);
        }
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let queue = sys::rd_kafka_queue_new(handle);
        sys::rd_kafka_DescribeTopics(handle, collection, options, queue);
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_AdminOptions_destroy(options);
        let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout + Duration::from_secs(1)));
        let described = described_topics(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        described
    }
}

/// # Safety
/// `event` is null or an event that lives during the call.
unsafe fn described_topics(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<DescribedTopic>, RDKafkaErrorCode> {
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: as the caller promises; the arrays have the lengths that librdkafka writes, and live with the event.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code.into());
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let topics = if topics.is_null() { &[][..] } else { std::slice::from_raw_parts(topics, count) };
        Ok(topics.iter().map(|topic| described_topic(*topic)).collect())
    }
}

/// # Safety
/// `topic` is a description that lives during the call.
unsafe fn described_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> DescribedTopic {
    use sys::rd_kafka_AclOperation_t as Operation;
    // SAFETY: as the caller promises.
    unsafe {
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let mut count = 0;
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        let operations =
            if operations.is_null() { &[][..] } else { std::slice::from_raw_parts(operations, count) };
        let may = |wanted: Operation| {
            // A cluster without access control lists names no operations, or all of them.
            operations.is_empty()
                || operations.contains(&wanted)
                || operations.contains(&Operation::RD_KAFKA_ACL_OPERATION_ALL)
        };
        DescribedTopic {
            name: text(sys::rd_kafka_TopicDescription_name(topic)),
            id: if id.is_null() { String::new() } else { text(sys::rd_kafka_Uuid_base64str(id)) },
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            may_read: may(Operation::RD_KAFKA_ACL_OPERATION_READ),
            may_write: may(Operation::RD_KAFKA_ACL_OPERATION_WRITE),
            error: (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into()),
        }
    }
}

/// # Safety
/// `pointer` is null or a text that ends with a zero.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer).to_string_lossy().into_owned() }
}
