//! The partition of a key, as Kafka's default producer chooses it.
//!
//! Owns the hash alone. Every producer of a keyed topic has to agree on it: a record of an account in
//! another partition is decided without that account's history.

/// Kafka's 32-bit MurmurHash2: seed 0x9747b28c, four bytes at a time in little-endian order, all
/// arithmetic modulo 2^32. The result is unsigned; Java prints the same bits as a signed number.
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;

    // Java's array length is an i32, so longer keys do not exist there: the length modulo 2^32 is exact.
    let length = u32::try_from(key.len() & 0xffff_ffff).expect("masked to 32 bits");
    let mut hash = SEED ^ length;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        mixed = mixed.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed;
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of `key` in a topic of `partitions` partitions: the hash without its sign bit, modulo
/// the count. `partitions` must be at least 1, which every topic has.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own UtilsTest.testMurmur2.
    const KAFKA_VECTORS: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];

    #[test]
    fn the_hash_equals_kafkas_vectors() {
        for (key, hash) in KAFKA_VECTORS {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "murmur2 of {key:?}");
        }
    }

    #[test]
    fn the_partition_is_the_hash_without_its_sign_modulo_the_count() {
        for (key, hash) in KAFKA_VECTORS {
            for partitions in [1, 2, 3, 24, 1000] {
                let expected = (hash & i32::MAX).cast_unsigned() % partitions;
                assert_eq!(partition_for_key(key.as_bytes(), partitions), expected, "{key} of {partitions}");
            }
        }
        assert_eq!(partition_for_key(b"foobar", 50), 16);
    }

    #[test]
    #[should_panic(expected = "at least one partition")]
    fn no_partitions_is_a_mistake_of_the_caller() {
        partition_for_key(b"key", 0);
    }
}
