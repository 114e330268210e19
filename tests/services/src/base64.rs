//! Base64, for the two places that need it: cluster ids and the header of Basic authentication.

/// `+` and `/`, padded: what HTTP uses.
pub(crate) fn standard(bytes: &[u8]) -> String {
    let mut text = encode(bytes, b"+/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// `-` and `_`, without padding: what Kafka's ids use.
pub(crate) fn url_safe(bytes: &[u8]) -> String {
    encode(bytes, b"-_")
}

fn encode(bytes: &[u8], last_two: &[u8; 2]) -> String {
    const FIRST_62: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = [0_u8; 3];
        bits[..group.len()].copy_from_slice(group);
        let sixes = [
            bits[0] >> 2,
            (bits[0] & 3) << 4 | bits[1] >> 4,
            (bits[1] & 15) << 2 | bits[2] >> 6,
            bits[2] & 63,
        ];
        for six in &sixes[..=group.len()] {
            let index = usize::from(*six);
            text.push(char::from(if index < 62 { FIRST_62[index] } else { last_two[index - 62] }));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn the_vectors_of_the_rfc() {
        let vectors =
            ["", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==", "foobar", "Zm9vYmFy"];
        for pair in vectors.chunks(2) {
            assert_eq!(standard(pair[0].as_bytes()), pair[1]);
        }
        assert_eq!(standard(&[0xfb, 0xff]), "+/8=");
        assert_eq!(url_safe(&[0xfb, 0xff]), "-_8");
    }
}
