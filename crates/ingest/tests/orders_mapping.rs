//! The example mapping of a bank's payment orders, on an excerpt and, where it is there, on the real file.

use std::path::{Path, PathBuf};

use settle_ingest::{Format, Mapping, Requests};
use settle_types::CurrencyTable;
use settle_types::request::{EventType, PaymentRequested};

const ORDERS: usize = 6_471;
/// 21,228,993.60 CZK.
const SUM_MINOR: i128 = 2_122_899_360;

const EXCERPT: &str = "\"order_id\";\"account_id\";\"bank_to\";\"account_to\";\"amount\";\"k_symbol\"\n\
    101;1;\"AB\";\"10000001\";2452.00;\"SIPO\"\n\
    102;2;\"CD\";\"10000002\";3372.70;\"UVER\"\n\
    103;2;\"EF\";\"10000003\";0.05;\" \"\n";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Vec<PaymentRequested> {
    let mapping =
        Mapping::load(&workspace().join("deploy/examples/orders.toml")).expect("the example is valid");
    let rows =
        Requests::open(path, Format::Csv, Some(mapping), &CurrencyTable::iso_4217()).expect("readable");
    rows.map(|row| row.expect("readable to its end").expect("every row is a request")).collect()
}

fn sum(requests: &[PaymentRequested]) -> i128 {
    requests.iter().map(|request| i128::from(request.amount_minor)).sum()
}

#[test]
fn an_excerpt_becomes_requests() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, EXCERPT).expect("the excerpt can be written");
    let requests = read(&path);
    assert_eq!((requests.len(), sum(&requests)), (3, 582_475));
    let first = &requests[0];
    assert_eq!(first.event_type, EventType::Payment);
    assert_eq!(first.payment_id.as_str(), "order-101");
    assert_eq!(first.idempotency_key.as_str(), "order-101");
    assert_eq!(first.debtor_account.as_str(), "1");
    assert_eq!(first.merchant_id.as_str(), "AB-10000001");
    assert_eq!((first.amount_minor, first.currency.as_str()), (245_200, "CZK"));
    assert_eq!(first.payment_method, "BANK_TRANSFER");
    assert_eq!(first.requested_at.to_string(), "2026-01-05T08:00:00.000000Z");
    assert_eq!(first.metadata.get("k_symbol").map(AsRef::as_ref), Some("SIPO"));
    assert!(requests[2].metadata.is_empty(), "a blank column is absent");
}

#[test]
#[allow(clippy::print_stderr, reason = "whoever reads the log must see that the real file was not there")]
fn the_real_file_has_its_known_count_and_sum() {
    let path = workspace().join("../shared/data/orders.csv");
    if !path.is_file() {
        eprintln!("NOT CHECKED: {} is absent; only an excerpt of its shape was read", path.display());
        return an_excerpt_becomes_requests();
    }
    let requests = read(&path);
    assert_eq!((requests.len(), sum(&requests)), (ORDERS, SUM_MINOR));
}
