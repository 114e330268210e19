//! Reading and writing the primitives of the format: little-endian integers and length-prefixed bytes.
//!
//! Owns the bounds checks: no input makes it panic or allocate.

/// Why bytes could not be decoded, and where in the decoded slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DecodeFault {
    pub(super) at: usize,
    pub(super) what: String,
}

impl DecodeFault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A position in a slice of bytes.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn starting_at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], DecodeFault> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            return Err(DecodeFault::new(self.at, format!("{what} goes beyond the end")));
        };
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], DecodeFault> {
        let taken = self.take(N, what)?;
        Ok(taken.try_into().expect("take returns the length asked for"))
    }

    pub(super) fn u16(&mut self, what: &str) -> Result<u16, DecodeFault> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, DecodeFault> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, DecodeFault> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &str) -> Result<i64, DecodeFault> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// A string of up to 65,535 bytes.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, DecodeFault> {
        let start = self.at;
        let length = usize::from(self.u16(what)?);
        let taken = self.take(length, what)?;
        std::str::from_utf8(taken).map_err(|_| DecodeFault::new(start, format!("{what} is not UTF-8")))
    }
}

/// Appends a string that is known to be at most 65,535 bytes long.
pub(super) fn put_text(output: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("checked where it was accepted");
    output.extend_from_slice(&length.to_le_bytes());
    output.extend_from_slice(text.as_bytes());
}

/// Appends a count or length that is known to fit 32 bits.
pub(super) fn put_length(output: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("bounded by the limit of a transaction");
    output.extend_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        let mut output = Vec::new();
        put_text(&mut output, "täglich");
        put_length(&mut output, 70_000);
        output.extend_from_slice(&(-5_i64).to_le_bytes());
        let mut input = Input::starting_at(&output, 0);
        assert_eq!(input.text("name"), Ok("täglich"));
        assert_eq!(input.u32("count"), Ok(70_000));
        assert_eq!(input.i64("time"), Ok(-5));
        assert!(input.is_empty());
    }

    #[test]
    fn a_short_input_is_a_fault_at_its_position() {
        let mut input = Input::starting_at(&[1, 0, 0], 1);
        assert_eq!(input.u32("count"), Err(DecodeFault::new(1, "count goes beyond the end")));
        assert_eq!(input.take(usize::MAX, "value").map_err(|fault| fault.at), Err(1));
        assert_eq!(input.u16("count"), Ok(0), "a failed take moves nothing");
    }

    #[test]
    fn text_has_to_be_utf8() {
        let fault = Input::starting_at(&[1, 0, 0xff], 0).text("topic");
        assert_eq!(fault, Err(DecodeFault::new(0, "topic is not UTF-8")));
    }
}
