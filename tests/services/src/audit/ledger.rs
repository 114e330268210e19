//! The ledger, by its page docs/ledger.md: the encoding under each hash, the chain of a partition, the balance, and
//! the posting table.

use std::collections::BTreeMap;

use super::finding::{Findings, Invariant, Place};
use super::records::{Direction, Entry, LedgerTransaction};

const DOMAIN: &str = "settle.ledger.transaction";
const ENCODING_VERSION: i32 = 1;
/// `prev_hash` of the first transaction.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Debits and credits of each currency.
pub(super) type Sums = BTreeMap<String, (i128, i128)>;

/// "Verifying a partition" of docs/ledger.md.
pub(super) struct Chain {
    next_sequence: i64,
    head: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next_sequence: 0, head: NO_HASH.to_owned() }
    }
}

impl Chain {
    /// The next transaction of the partition; adds it to the sums.
    pub(super) fn follow(
        &mut self,
        place: Place<'_>,
        transaction: &LedgerTransaction,
        sums: &mut Sums,
        findings: &mut Findings,
    ) {
        let id = format!("{}-{}", place.partition, transaction.sequence);
        findings.equal(Invariant::I9, place, "sequence", &transaction.sequence, &self.next_sequence);
        findings.equal(Invariant::I9, place, "transaction_id", &transaction.transaction_id, &id);
        let version = transaction.encoding_version;
        findings.equal(Invariant::I9, place, "encoding_version", &version, &ENCODING_VERSION);
        findings.equal(Invariant::I9, place, "prev_hash", &transaction.prev_hash, &self.head);
        match hash(transaction) {
            Ok(expected) => findings.equal(Invariant::I9, place, "hash", &transaction.hash, &expected),
            Err(error) => findings.add(Invariant::I9, place, error),
        }
        balance(place, transaction, sums, findings);
        self.next_sequence = transaction.sequence.saturating_add(1);
        self.head.clone_from(&transaction.hash);
    }
}

fn balance(place: Place<'_>, transaction: &LedgerTransaction, sums: &mut Sums, findings: &mut Findings) {
    if transaction.entries.len() < 2 {
        findings.add(Invariant::I6, place, "has fewer than two entries");
    }
    let mut own = Sums::new();
    for entry in &transaction.entries {
        if entry.amount_minor <= 0 {
            findings.add(Invariant::I6, place, format!("an entry of {}", entry.amount_minor));
        }
        let amount = i128::from(entry.amount_minor);
        let (debits, credits) = match entry.direction {
            Direction::Debit => (amount, 0),
            Direction::Credit => (0, amount),
            Direction::Unknown => {
                findings.add(Invariant::I6, place, "an entry is neither a debit nor a credit");
                continue;
            }
        };
        for sums in [&mut own, &mut *sums] {
            let sum = sums.entry(entry.currency.clone()).or_default();
            *sum = (sum.0 + debits, sum.1 + credits);
        }
    }
    report_unbalanced(place, &own, findings);
}

/// Reports each currency whose debits differ from its credits.
pub(super) fn report_unbalanced(place: impl std::fmt::Display + Copy, sums: &Sums, findings: &mut Findings) {
    for (currency, (debits, credits)) in sums {
        if debits != credits {
            let detail = format!("{currency}: debits of {debits}, credits of {credits}");
            findings.add(Invariant::I6, place, detail);
        }
    }
}

/// The hash that the transaction must have, in hexadecimal digits.
pub(super) fn hash(transaction: &LedgerTransaction) -> Result<String, String> {
    Ok(blake3::hash(&encoding(transaction)?).to_hex().to_string())
}

/// "Hash encoding, version 1" of docs/ledger.md.
fn encoding(transaction: &LedgerTransaction) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(512);
    text(&mut bytes, DOMAIN)?;
    bytes.extend(transaction.encoding_version.to_be_bytes());
    text(&mut bytes, &transaction.transaction_id)?;
    bytes.extend(transaction.sequence.to_be_bytes());
    text(&mut bytes, &transaction.posting)?;
    bytes.extend(transaction.effective_at.to_be_bytes());
    bytes.extend(transaction.recorded_at.to_be_bytes());
    text(&mut bytes, &transaction.batch_id)?;
    match &transaction.decision_id {
        None => bytes.push(0),
        Some(decision_id) => {
            bytes.push(1);
            text(&mut bytes, decision_id)?;
        }
    }
    bytes.extend(length(transaction.entries.len())?);
    for entry in &transaction.entries {
        text(&mut bytes, &entry.account)?;
        bytes.push(match entry.direction {
            Direction::Debit => 1,
            Direction::Credit => 2,
            Direction::Unknown => return Err("a direction without a number".to_owned()),
        });
        bytes.extend(entry.amount_minor.to_be_bytes());
        text(&mut bytes, &entry.currency)?;
    }
    let prev_hash = blake3::Hash::from_hex(&transaction.prev_hash).map_err(|error| error.to_string())?;
    bytes.extend(prev_hash.as_bytes());
    Ok(bytes)
}

fn length(length: usize) -> Result<[u8; 4], String> {
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| "longer than four bytes can count".to_owned())
}

fn text(bytes: &mut Vec<u8>, text: &str) -> Result<(), String> {
    bytes.extend(length(text.len())?);
    bytes.extend(text.as_bytes());
    Ok(())
}

/// What a posting is about.
pub(super) struct Posting<'a> {
    pub(super) name: &'a str,
    pub(super) merchant_id: &'a str,
    /// Of the sale, of a posting that touches the scheme.
    pub(super) payment_method: &'a str,
    pub(super) currency: &'a str,
    /// Amount and fee; of a BATCH_CLOSE, reserve and payout.
    pub(super) amounts: [i64; 2],
}

impl Posting<'_> {
    /// The entries that the posting table, version 1, asks for.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let payable = format!("merchant:{}:payable", self.merchant_id);
        let reserve = format!("merchant:{}:reserve", self.merchant_id);
        let in_transit = format!("merchant:{}:in-transit", self.merchant_id);
        let suspense = format!("chargeback:{}:suspense", self.merchant_id);
        let receivable = format!("scheme:{}:receivable", self.payment_method);
        let fees = "revenue:fees".to_owned();
        // (debit, credit), in the order of the amounts
        let rows = match self.name {
            "SALE" => vec![(&receivable, &payable), (&payable, &fees)],
            "REFUND" | "CANCELLATION" => vec![(&payable, &receivable), (&fees, &payable)],
            "CHARGEBACK" => vec![(&payable, &suspense)],
            "CHARGEBACK_REVERSAL" => vec![(&suspense, &payable)],
            "BATCH_CLOSE" => vec![(&payable, &reserve), (&payable, &in_transit)],
            _ => vec![(&reserve, &payable)],
        };
        let mut entries = Vec::new();
        for ((debit, credit), amount) in rows.into_iter().zip(self.amounts) {
            if amount == 0 {
                continue;
            }
            for (account, direction) in [(debit, Direction::Debit), (credit, Direction::Credit)] {
                let currency = self.currency.to_owned();
                entries.push(Entry { account: account.clone(), direction, amount_minor: amount, currency });
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(account: &str, direction: Direction, amount_minor: i64) -> Entry {
        Entry { account: account.to_owned(), direction, amount_minor, currency: "EUR".to_owned() }
    }

    /// The two test vectors of docs/ledger.md.
    fn vectors() -> [LedgerTransaction; 2] {
        use Direction::{Credit, Debit};
        let first = LedgerTransaction {
            transaction_id: "3-0".to_owned(),
            sequence: 0,
            encoding_version: 1,
            posting: "SALE".to_owned(),
            effective_at: 1_772_442_900_000_000,
            recorded_at: 1_772_442_900_250_000,
            batch_id: "m-1:EUR:2026-03-02".to_owned(),
            decision_id: Some("payments.requested-3-1042".to_owned()),
            entries: vec![
                entry("scheme:CARD:receivable", Debit, 10_000),
                entry("merchant:m-1:payable", Credit, 10_000),
                entry("merchant:m-1:payable", Debit, 315),
                entry("revenue:fees", Credit, 315),
            ],
            prev_hash: NO_HASH.to_owned(),
            hash: "1cad2355726afc63411f497f767b8fab251be0d8aa1a356192b0803267b3ea0e".to_owned(),
        };
        let second = LedgerTransaction {
            transaction_id: "3-1".to_owned(),
            sequence: 1,
            encoding_version: 1,
            posting: "BATCH_CLOSE".to_owned(),
            effective_at: 1_772_492_400_000_000,
            recorded_at: 1_772_492_400_000_000,
            batch_id: "m-1:EUR:2026-03-02".to_owned(),
            decision_id: None,
            entries: vec![
                entry("merchant:m-1:payable", Debit, 500),
                entry("merchant:m-1:reserve", Credit, 500),
                entry("merchant:m-1:payable", Debit, 9_185),
                entry("merchant:m-1:in-transit", Credit, 9_185),
            ],
            prev_hash: first.hash.clone(),
            hash: "b50f2b0a058858b14aa781dad0012881b4ca14541d2f9794e3feb93586a3f1c9".to_owned(),
        };
        [first, second]
    }

    /// The bytes of a vector as the page prints them.
    fn printed(page: &str, number: usize) -> String {
        let title = format!("Encoding of vector {number}");
        let (_, after) = page.split_once(title.as_str()).unwrap();
        let (_, after) = after.split_once("```text").unwrap();
        let (hex, _) = after.split_once("```").unwrap();
        hex.split_whitespace().collect()
    }

    #[test]
    fn encodes_and_hashes_the_vectors_of_the_page() {
        let page = include_str!("../../../../docs/ledger.md");
        for (number, vector) in (1..).zip(vectors()) {
            let bytes = encoding(&vector).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, printed(page, number), "vector {number}");
            assert_eq!(hash(&vector).unwrap(), vector.hash, "vector {number}");
            assert!(page.contains(&vector.hash), "vector {number}");
        }
    }

    #[test]
    fn the_vectors_are_a_chain_and_post_what_the_table_says() {
        let (mut chain, mut sums, mut findings) = (Chain::default(), Sums::new(), Findings::default());
        for (offset, vector) in (0..).zip(&vectors()) {
            let place = Place { topic: "ledger.transactions", partition: 3, offset };
            chain.follow(place, vector, &mut sums, &mut findings);
        }
        assert_eq!(findings.into_violations(), []);
        assert_eq!(sums, Sums::from([("EUR".to_owned(), (20_000, 20_000))]));
        let posting = |name, amounts| {
            let (merchant_id, payment_method, currency) = ("m-1", "CARD", "EUR");
            Posting { name, merchant_id, payment_method, currency, amounts }.entries()
        };
        assert_eq!(posting("SALE", [10_000, 315]), vectors()[0].entries);
        assert_eq!(posting("BATCH_CLOSE", [500, 9_185]), vectors()[1].entries);
        assert_eq!(posting("BATCH_CLOSE", [0, 0]), []);
    }

    #[test]
    fn knows_every_row_of_the_posting_table_of_the_page() {
        let page = include_str!("../../../../docs/ledger.md");
        let (_, table) = page.split_once("| posting | amount | debit | credit |").unwrap();
        let mut rows: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let account = |cell: &str| cell.replace("{merchant id}", "m").replace("{payment method}", "CARD");
            rows.entry(cells[1]).or_default().push((account(cells[3]), account(cells[4])));
        }
        assert_eq!(rows.len(), 7, "{rows:?}");
        for (name, rows) in rows {
            let posting =
                Posting { name, merchant_id: "m", payment_method: "CARD", currency: "EUR", amounts: [5, 3] };
            let entries = posting.entries();
            let found: Vec<_> =
                entries.chunks(2).map(|pair| (pair[0].account.clone(), pair[1].account.clone())).collect();
            assert_eq!(found, rows, "{name}");
        }
    }
}
