//! Encode and decode times of the two Avro libraries, the figures of docs/adr/0002-avro-codec.md.
//!
//! `cargo run --release -p settle-schema --example measure`
//!
//! Each figure is the median of many rounds; a round is the mean of many calls, and the two libraries take
//! turns, so that a busy machine slows both.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a tool that measures time and prints it"
)]

#[path = "../tests/records/samples.rs"]
#[allow(dead_code, reason = "two of the samples are measured")]
mod samples;

use std::hint::black_box;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use settle_schema::{AvroRecord, HEADER_LENGTH, decode, encode, to_json_string};

const ROUNDS: usize = 201;
const CALLS: u32 = 2_000;

fn main() {
    println!("median of {ROUNDS} rounds of {CALLS} calls, nanoseconds a record");
    measure("PaymentRequested", &samples::payment_requested());
    measure("DecisionEvent", &samples::typical_decision_event());
}

fn measure<T: AvroRecord>(name: &str, record: &T) {
    let schema = Schema::parse_str(T::SCHEMA.text()).expect("a built-in schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("self-contained");
    let reader = GenericDatumReader::builder(&schema).build().expect("self-contained");
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    let datum = &bytes[HEADER_LENGTH..];
    let mut output = Vec::with_capacity(2 * bytes.len());
    let mut other_output = output.clone();

    let mut encode_fast = || {
        output.clear();
        encode(black_box(record), &mut output);
        black_box(&output);
    };
    let mut encode_apache = || {
        other_output.clear();
        writer.write_ser(&mut other_output, black_box(record)).expect("follows the schema");
        black_box(&other_output);
    };
    let mut decode_fast = || {
        black_box(decode::<T>(black_box(&bytes)).expect("our own bytes"));
    };
    let mut decode_apache = || {
        black_box(reader.read_deser::<T>(&mut black_box(datum)).expect("our own bytes"));
    };
    let mut decode_apache_value = || {
        black_box(reader.read_value(&mut black_box(datum)).expect("our own bytes"));
    };
    let mut json = || {
        black_box(to_json_string(black_box(&bytes)).expect("our own bytes"));
    };
    let mut steps: [(&str, &mut dyn FnMut()); 6] = [
        ("encode, serde_avro_fast", &mut encode_fast),
        ("encode, apache-avro (serde)", &mut encode_apache),
        ("decode, serde_avro_fast", &mut decode_fast),
        ("decode, apache-avro (serde)", &mut decode_apache),
        ("decode, apache-avro (to Value)", &mut decode_apache_value),
        ("to_json_string", &mut json),
    ];

    let mut times = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        for ((_, step), times) in steps.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..CALLS {
                step();
            }
            times.push(start.elapsed().as_nanos() / u128::from(CALLS));
        }
    }
    println!("{name}, {} bytes", bytes.len());
    for ((what, _), times) in steps.iter().zip(&mut times) {
        times.sort_unstable();
        println!("  {what:32} {:>7}", times[ROUNDS / 2]);
    }
}
