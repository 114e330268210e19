//! Inputs that are nearly right: they reach deeper than random ones.

use proptest::prelude::*;
use proptest::sample::Index;

/// Numbers that lengths, counts and offsets are read from, in the encodings that a decoder may expect.
const EXTREMES: [&[u8]; 12] = [
    // Fixed width, either order.
    &[0xff; 4],
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x80, 0, 0, 0],
    &[0; 8],
    // Variable length: 2^28, 2^34, the largest and the smallest number of 64 bits, one that is too long.
    &[0x80, 0x80, 0x80, 0x80, 0x02],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80; 12],
    &[0x01],
];

#[derive(Clone, Debug)]
enum Change {
    FlipBit(Index, u8),
    SetByte(Index, u8),
    Truncate(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Extreme(Index, usize, bool),
    /// A piece of another input takes the place of the rest.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), 0u8..8).prop_map(|(at, bit)| Change::FlipBit(at, bit)),
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::SetByte(at, byte)),
        2 => index().prop_map(Change::Truncate),
        2 => (index(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (index(), index()).prop_map(|(from, to)| Change::Remove(from, to)),
        2 => (index(), index(), 1usize..40).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        4 => (index(), 0..EXTREMES.len(), any::<bool>())
            .prop_map(|(at, which, is_over)| Change::Extreme(at, which, is_over)),
        2 => (index(), index(), index()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

/// One of these inputs after one to five changes: bits flipped, bytes set, put in, taken out, repeated, cut off, numbers
/// made extreme, pieces of another input spliced in.
///
/// # Panics
/// If there is no input.
pub fn damaged(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    assert!(!inputs.is_empty(), "there is something to damage");
    (any::<Index>(), prop::collection::vec(change(), 1..6)).prop_map(move |(which, changes)| {
        let mut bytes = which.get(&inputs).clone();
        for change in &changes {
            apply(change, &mut bytes, &inputs);
        }
        bytes
    })
}

fn apply(change: &Change, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    // One place more than there are bytes: the end.
    let places = bytes.len() + 1;
    let range = |from: &Index, to: &Index| {
        let (from, to) = (from.index(places), to.index(places));
        from.min(to)..from.max(to)
    };
    match change {
        Change::FlipBit(at, bit) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Change::SetByte(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::FlipBit(..) | Change::SetByte(..) => {}
        Change::Truncate(at) => bytes.truncate(at.index(places)),
        Change::Insert(at, inserted) => {
            let at = at.index(places);
            bytes.splice(at..at, inserted.iter().copied());
        }
        Change::Remove(from, to) => {
            bytes.drain(range(from, to));
        }
        Change::Repeat(from, to, times) => {
            let range = range(from, to);
            // What is long enough is not made longer.
            let piece = bytes[range.start..range.end.min(range.start + 64)].to_vec();
            bytes.splice(range.start..range.start, piece.repeat(*times));
        }
        Change::Extreme(at, which, is_over) => {
            let at = at.index(places);
            let written = EXTREMES[*which];
            let end = if *is_over { bytes.len().min(at + written.len()) } else { at };
            bytes.splice(at..end, written.iter().copied());
        }
        Change::Splice(at, other, from) => {
            let other = other.get(inputs);
            bytes.truncate(at.index(places));
            bytes.extend(&other[from.index(other.len() + 1)..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn damage_changes_most_inputs_and_keeps_them_short() {
        let inputs = vec![b"one input".to_vec(), b"and another".to_vec(), Vec::new()];
        let changed = Cell::new(0);
        let mut runner = TestRunner::new(crate::config(1_000));
        let cases = runner.config().cases;
        let outcome = runner.run(&damaged(inputs.clone()), |bytes| {
            if !inputs.contains(&bytes) {
                changed.set(changed.get() + 1);
            }
            prop_assert!(bytes.len() < 20_000);
            Ok(())
        });
        outcome.expect("it stays short");
        assert!(changed.get() > cases / 2, "{} of {cases}", changed.get());
    }
}
