//! Damaged schemas: texts from outside that reach deep into two parsers.

use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::Value as Json;
use settle_types::request::PaymentRequested;
use settle_types::settle::Payout;

use super::writers::Chance;
use crate::{BuiltIn, RegisteredSchema};

const ID: u32 = 700;

#[test]
fn damaged_schemas_are_no_panic() {
    const PIECES: [&str; 16] = [
        "\"null\"",
        "\"record\"",
        "\"enum\"",
        "\"fixed\"",
        "\"array\"",
        "\"decimal\"",
        "\"duration\"",
        "\"uuid\"",
        "{}",
        "[]",
        "null",
        "-1",
        "\"\"",
        "\".\"",
        "\"size\": 12",
        "\"name\": \"PaymentRequested\"",
    ];
    let mut chance = Chance(TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]));
    let (mut usable, mut unusable) = (0, 0);
    for case in 0..6_000 {
        let schema = BuiltIn::ALL[case % BuiltIn::ALL.len()];
        // Without words and spaces, so that damage meets the structure.
        let json: Json = serde_json::from_str(schema.text()).expect("JSON");
        let mut text = without_words(json).to_string();
        for _ in 0..=chance.below(2) {
            damage(&mut text, PIECES[chance.below(PIECES.len())], &mut chance);
        }
        let registered = RegisteredSchema::new(ID, &text);
        match registered.defect() {
            Some(defect) => {
                assert!(!defect.is_empty());
                unusable += 1;
            }
            None => {
                usable += 1;
                let bytes = [&[0][..], &ID.to_be_bytes(), &[2, 2, b'a', 0, 2, b'b', 4, 0, 0, 0]].concat();
                let _ = registered.decode::<PaymentRequested>(&bytes);
                let _ = registered.decode::<Payout>(&bytes);
            }
        }
    }
    assert!(usable > 100 && unusable > 100, "{usable} usable, {unusable} not");
}

fn without_words(mut schema: Json) -> Json {
    match &mut schema {
        Json::Object(members) => {
            members.remove("doc");
            members.values_mut().for_each(|value| *value = without_words(value.take()));
        }
        Json::Array(items) => items.iter_mut().for_each(|value| *value = without_words(value.take())),
        _ => {}
    }
    schema
}

/// Puts a piece, or another word of the text, in the place of a word; or a piece in that of any few characters.
fn damage(text: &mut String, piece: &str, chance: &mut Chance) {
    if chance.one_in(4) {
        let start = chance.below(text.len());
        let end = (start + chance.below(8)).min(text.len());
        text.replace_range(start..end, piece);
        return;
    }
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    let words: Vec<(usize, usize)> = quotes.chunks_exact(2).map(|pair| (pair[0], pair[1] + 1)).collect();
    let (start, end) = words[chance.below(words.len())];
    let (other_start, other_end) = words[chance.below(words.len())];
    let word = if chance.one_in(2) { piece.to_owned() } else { text[other_start..other_end].to_owned() };
    text.replace_range(start..end, &word);
}
