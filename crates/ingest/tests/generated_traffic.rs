//! The generated day is a format: examples, measurements and reports of faults name it by its options.

use settle_ingest::generate::{Generated, Traffic, TrafficOptions};

/// FNV-1a, 64 bits: enough to notice a change, and nothing to depend on.
fn fingerprint(records: impl Iterator<Item = Generated>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for record in records {
        let bytes = match record {
            Generated::Request(request) => serde_json::to_vec(&request).expect("a request is plain data"),
            Generated::Malformed { key, bytes, timestamp } => {
                [key, bytes, timestamp.as_micros().to_be_bytes().to_vec()].concat()
            }
        };
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[test]
fn a_day_is_the_same_on_every_machine_and_in_every_version() {
    let cases: [(u64, u64, u64); 2] =
        [(20_000, 42, 0x8f80_1231_9d21_040e), (1_000, 7, 0x17a3_94e2_a683_8226)];
    for (payments, seed, expected) in cases {
        let found = fingerprint(Traffic::new(TrafficOptions { payments, seed, ..TrafficOptions::default() }));
        assert_eq!(found, expected, "{payments} records of seed {seed}: found {found:#018x}");
    }
}
