//! A file of real payment orders through both stages with the example configuration, and the same file again.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use settle_ledger::Posting;
use settle_tests::{Chance, Settle, Topics, example, invariants, note, workspace};
use settle_types::authorize::Outcome;
use settle_types::settle::{Direction, LedgerTransaction};
use settle_types::{Currency, topic};

const ORDERS: usize = 6_471;
/// 21,228,993.60 CZK.
const SUM_OF_ORDERS_MINOR: i128 = 2_122_899_360;

/// The orders, and their sum in minor units: the real file, or one of its shape where it is absent.
fn orders(folder: &Path) -> (PathBuf, i128) {
    let name = Path::new("data/orders.csv");
    let data = match settings::test_data() {
        Some(folder) => folder.join("orders.csv"),
        None => workspace().join("../shared").join(name),
    };
    if data.is_file() {
        return (data, SUM_OF_ORDERS_MINOR);
    }
    note(format!(
        "the file of real orders is not at {}: a GENERATED file of its shape takes its place (SETTLE_TEST_DATA names the folder that holds orders.csv)",
        data.display()
    ));
    let file = folder.join("orders.csv");
    let (text, sum) = generated_orders(6_471);
    std::fs::write(&file, text).expect("the generated orders can be written");
    (file, sum)
}

mod settings {
    use std::path::PathBuf;

    /// The folder of test data that the environment names.
    #[expect(clippy::disallowed_methods, reason = "a test is configured by its environment")]
    pub(super) fn test_data() -> Option<PathBuf> {
        std::env::var("SETTLE_TEST_DATA").ok().map(PathBuf::from)
    }
}

/// A file with the columns of the real one, and the sum of its amounts in minor units.
fn generated_orders(seed: u64) -> (String, i128) {
    let mut chance = Chance::new(seed);
    let mut sum = 0;
    let mut text =
        "\"order_id\";\"account_id\";\"bank_to\";\"account_to\";\"amount\";\"k_symbol\"\n".to_owned();
    for index in 0..ORDERS {
        let amount_minor = chance.between(100, 1_500_000);
        sum += i128::from(amount_minor);
        let bank = ["YZ", "ST", "QR", "AB"][usize::try_from(chance.between(0, 4)).expect("below four")];
        let symbol = ["SIPO", "UVER", "POJISTNE", "LEASING", " "][index % 5];
        writeln!(
            text,
            "{};{};\"{bank}\";\"{}\";{}.{:02};\"{symbol}\"",
            29_401 + index,
            chance.between(1, 12_000),
            chance.between(10_000_000, 99_999_999),
            amount_minor / 100,
            amount_minor % 100
        )
        .expect("text takes every write");
    }
    (text, sum)
}

#[test]
fn a_file_of_orders_is_settled_once_however_often_it_is_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, sum_minor) = orders(folder.path());
    let file = file.display().to_string();
    let mapping = example("orders.toml").display().to_string();
    let settle = Settle::new(folder.path().join("data")).with_config(example("orders-settle.toml"));
    let produce = ["produce", "--input", &file, "--mapping", &mapping];

    settle.run(&produce).expect_code(0);
    settle.settle();
    let first = Topics::read(settle.data());
    invariants::check(&first);
    assert_eq!(first.count(topic::REQUESTED), ORDERS);
    assert_eq!(invariants::outcomes(&first), [(Outcome::Approved, ORDERS)].into());
    assert_eq!(booked_sales_minor(&first), sum_minor, "the sum of booked sales");
    assert_eq!(first.count(topic::DEAD_LETTER), 0);

    settle.run(&produce).expect_code(0);
    settle.settle();
    let second = Topics::read(settle.data());
    invariants::check(&second);
    let expected = [(Outcome::Approved, ORDERS), (Outcome::Replayed, ORDERS)];
    assert_eq!(invariants::outcomes(&second), expected.into());
    assert!(first.is_prefix_of(&second), "what was written stays as it was");
    let (before, after) = (first.counts(), second.counts());
    for name in topic::ALL {
        let added = after[name] - before[name];
        let expected = if matches!(name, topic::REQUESTED | topic::DECIDED) { ORDERS } else { 0 };
        assert_eq!(added, expected, "records that the same file again added to {name}");
    }
}

/// The gross sum that the ledger books for sales, all in CZK.
fn booked_sales_minor(topics: &Topics) -> i128 {
    let czk = Currency::new("CZK").expect("a code");
    let mut sum = 0;
    for transaction in topics.values::<LedgerTransaction>(topic::LEDGER_TRANSACTIONS) {
        if transaction.posting != Posting::Sale.as_str() {
            continue;
        }
        for entry in transaction.entries {
            assert_eq!(entry.currency, czk);
            let is_receivable = entry.account.starts_with("scheme:");
            if is_receivable && entry.direction == Direction::Debit {
                sum += entry.amount_minor.wide();
            }
        }
    }
    sum
}
