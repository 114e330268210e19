//! The records that a stage writes beside its journal.

use std::borrow::Cow;

use settle_engine::{Output, Payload, Placement};
use settle_log::{Header, partition_for_key};
use settle_schema::{WireIds, encode_with};
use settle_types::topic::header;

/// An output as it stands in its topic.
#[derive(Debug)]
pub struct Placed<'a> {
    /// Number of its partition.
    pub partition: u32,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Cow<'a, [Header]>,
}

/// How an output is written, under these schema ids. `partitions` is the count of its topic, `trace` the trace context and `source_headers` are
/// all headers of the record that caused it; what has to be encoded goes into `buffer`.
pub fn place<'a>(
    output: &'a Output,
    ids: &WireIds,
    input_partition: u32,
    partitions: u32,
    trace: &'a [Header],
    source_headers: &[Header],
    buffer: &'a mut Vec<u8>,
) -> Placed<'a> {
    let partition = match output.placement {
        Placement::ByKey => partition_for_key(output.key.as_deref().unwrap_or_default(), partitions),
        // A dead letter of a topic with more partitions than its own goes round.
        Placement::SameAsInput => input_partition % partitions,
    };
    buffer.clear();
    match &output.payload {
        Payload::Approved(record) => encode_with(ids, record, buffer),
        Payload::Result(record) => encode_with(ids, record, buffer),
        Payload::Ledger(record) => encode_with(ids, record, buffer),
        Payload::Payout(record) => encode_with(ids, record, buffer),
        Payload::DeadLetter { value, headers } => {
            let headers = trace.iter().cloned().chain(own(headers)).collect();
            return Placed { partition, value: value.as_deref(), headers };
        }
        Payload::Rerouted { value, headers } => {
            // The trace context is among the headers of the source.
            let is_replaced = |header: &&Header| headers.iter().any(|(name, _)| *name == &*header.name);
            let kept = source_headers.iter().filter(|header| !is_replaced(header)).cloned();
            return Placed {
                partition,
                value: value.as_deref(),
                headers: kept.chain(own(headers)).collect(),
            };
        }
    }
    Placed { partition, value: Some(buffer), headers: Cow::Borrowed(trace) }
}

fn own<'a>(headers: &'a [(&'static str, String)]) -> impl Iterator<Item = Header> + 'a {
    headers.iter().map(|(name, text)| Header::new(*name, text.clone().into_bytes()))
}

/// The trace context of an input record, to be copied to what it causes.
pub fn trace_of(headers: &[Header]) -> Vec<Header> {
    headers.iter().filter(|candidate| &*candidate.name == header::TRACEPARENT).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use settle_types::topic;

    fn output(placement: Placement, payload: Payload) -> Output {
        Output { topic: topic::DEAD_LETTER, placement, key: Some(b"foobar".to_vec()), payload }
    }

    #[test]
    fn a_dead_letter_has_the_trace_and_its_own_headers_and_goes_round() {
        let headers = vec![(header::CODE, "INVALID_FIELD".to_owned())];
        let output =
            output(Placement::SameAsInput, Payload::DeadLetter { value: Some(b"v".to_vec()), headers });
        let trace = [Header::new(header::TRACEPARENT, &b"00-1"[..])];
        let mut buffer = b"left over".to_vec();
        let placed =
            place(&output, &WireIds::BUILT_IN, 7, 3, &trace, &[Header::new("other", &b"x"[..])], &mut buffer);
        assert_eq!((placed.partition, placed.value), (1, Some(&b"v"[..])));
        let names: Vec<&str> = placed.headers.iter().map(|header| &*header.name).collect();
        assert_eq!(names, [header::TRACEPARENT, header::CODE]);
    }

    #[test]
    fn a_rerouted_record_keeps_the_headers_of_its_source_but_those_that_are_replaced() {
        let headers = vec![(header::SOURCE_TOPIC, "payments.requested".to_owned())];
        let output = output(Placement::ByKey, Payload::Rerouted { value: None, headers });
        let source = [Header::new("a", &b"1"[..]), Header::new(header::SOURCE_TOPIC, &b"elsewhere"[..])];
        let mut buffer = Vec::new();
        let trace = trace_of(&source);
        let placed = place(&output, &WireIds::BUILT_IN, 0, 50, &trace, &source, &mut buffer);
        assert_eq!((placed.partition, placed.value), (16, None));
        let shown: Vec<_> =
            placed.headers.iter().map(|header| (&*header.name, header.value.as_ref())).collect();
        assert_eq!(shown, [("a", &b"1"[..]), (header::SOURCE_TOPIC, &b"payments.requested"[..])]);
    }
}
