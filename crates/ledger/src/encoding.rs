//! The bytes under a transaction's hash, version 1. Normative text and test vectors: docs/ledger.md.
//!
//! Independent of the schemas of the log, so that a changed schema never changes a hash. Every field of the
//! record but `hash` itself goes in; every text is preceded by its length, so that no two records share an
//! encoding.

use settle_types::Digest;
use settle_types::settle::{Direction, Entry, LedgerTransaction};

/// Version of the encoding that [`encode`] writes.
pub const ENCODING_VERSION: i32 = 1;

/// First bytes of every encoding: keeps these hashes apart from those of anything else.
pub const DOMAIN: &str = "settle.ledger.transaction";

/// BLAKE3 (256 bits, plain hash mode) of the encoding.
pub fn hash(transaction: &LedgerTransaction) -> Digest {
    Digest::from_bytes(*blake3::hash(&encode(transaction)).as_bytes())
}

/// The encoding. Its version is the one that the transaction names, so that changing it changes the hash.
pub fn encode(transaction: &LedgerTransaction) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    put_text(&mut bytes, DOMAIN);
    bytes.extend_from_slice(&transaction.encoding_version.to_be_bytes());
    put_text(&mut bytes, &transaction.transaction_id);
    bytes.extend_from_slice(&transaction.sequence.to_be_bytes());
    put_text(&mut bytes, &transaction.posting);
    bytes.extend_from_slice(&transaction.effective_at.as_micros().to_be_bytes());
    bytes.extend_from_slice(&transaction.recorded_at.as_micros().to_be_bytes());
    put_text(&mut bytes, transaction.batch_id.as_str());
    match &transaction.decision_id {
        None => bytes.push(0),
        Some(decision_id) => {
            bytes.push(1);
            put_text(&mut bytes, decision_id.as_str());
        }
    }
    put_length(&mut bytes, transaction.entries.len());
    for entry in &transaction.entries {
        put_entry(&mut bytes, entry);
    }
    bytes.extend_from_slice(transaction.prev_hash.as_bytes());
    bytes
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    put_text(bytes, &entry.account);
    bytes.push(match entry.direction {
        Direction::Unknown => 0,
        Direction::Debit => 1,
        Direction::Credit => 2,
    });
    bytes.extend_from_slice(&entry.amount_minor.get().to_be_bytes());
    put_text(bytes, entry.currency.as_str());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("a record of a log is far below 4 GiB");
    bytes.extend_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Chain, Draft};
    use crate::posting::{Amounts, Posting, PostingInput};
    use settle_types::{BatchId, Currency, DecisionId, MerchantId, Minor, Timestamp};

    const DOCUMENT: &str = include_str!("../../../docs/ledger.md");

    fn entries(posting: Posting, amounts: Amounts) -> Vec<Entry> {
        let merchant_id = MerchantId::new("m-1");
        let currency = Currency::new("EUR").expect("a code");
        let input =
            PostingInput { merchant_id: &merchant_id, payment_method: Some("CARD"), currency, amounts };
        posting.entries(&input).expect("valid amounts")
    }

    /// The two transactions of docs/ledger.md: a sale, and the close of its batch.
    fn vectors() -> [LedgerTransaction; 2] {
        let start = Chain::default();
        let sale = Draft {
            posting: Posting::Sale,
            effective_at: Timestamp::from_micros(1_772_442_900_000_000),
            recorded_at: Timestamp::from_micros(1_772_442_900_250_000),
            batch_id: BatchId::new("m-1:EUR:2026-03-02"),
            decision_id: Some(DecisionId::new("payments.requested-3-1042")),
            entries: entries(Posting::Sale, Amounts::with_fee(Minor::new(10_000), Minor::new(315))),
        };
        let sale = start.seal(3, sale).expect("a valid draft");
        let close = Draft {
            posting: Posting::BatchClose,
            effective_at: Timestamp::from_micros(1_772_492_400_000_000),
            recorded_at: Timestamp::from_micros(1_772_492_400_000_000),
            batch_id: BatchId::new("m-1:EUR:2026-03-02"),
            decision_id: None,
            entries: entries(Posting::BatchClose, Amounts::of_close(Minor::new(500), Minor::new(9_185))),
        };
        let close = Chain::after(&sale).seal(3, close).expect("a valid draft");
        [sale, close]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The code block of the document that follows a title, without its line ends.
    fn documented(title: &str) -> String {
        let (_, after) = DOCUMENT.split_once(title).expect("the title stands in docs/ledger.md");
        let block = after.split("```").nth(1).expect("a code block follows the title");
        block.trim_start_matches("text").split_whitespace().collect()
    }

    #[test]
    fn golden_vectors_are_those_of_the_document() {
        let titles =
            [("Encoding of vector 1", "Hash of vector 1"), ("Encoding of vector 2", "Hash of vector 2")];
        for (transaction, (encoding_title, hash_title)) in vectors().iter().zip(titles) {
            assert_eq!(hex(&encode(transaction)), documented(encoding_title), "{encoding_title}");
            assert_eq!(transaction.hash.to_string(), documented(hash_title), "{hash_title}");
        }
    }

    #[test]
    fn golden_hashes() {
        let [sale, close] = vectors();
        assert_eq!(sale.hash.to_string(), "1cad2355726afc63411f497f767b8fab251be0d8aa1a356192b0803267b3ea0e");
        assert_eq!(
            close.hash.to_string(),
            "b50f2b0a058858b14aa781dad0012881b4ca14541d2f9794e3feb93586a3f1c9"
        );
    }

    #[test]
    fn text_never_moves_between_fields() {
        let [sale, _] = vectors();
        let mut shifted = sale.clone();
        shifted.posting = "SALEm-1".into();
        shifted.batch_id = BatchId::new(":EUR:2026-03-02");
        assert_ne!(encode(&sale), encode(&shifted));
        let mut without_decision = sale.clone();
        without_decision.decision_id = None;
        let mut empty_decision = sale;
        empty_decision.decision_id = Some(DecisionId::default());
        assert_ne!(encode(&without_decision), encode(&empty_decision));
    }
}
