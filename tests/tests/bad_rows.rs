//! Bad rows of request files: each is named by file and line and written to a rejects file, the rest goes on.

use std::path::Path;

use settle_tests::{Settle, Topics, example, invariants};
use settle_types::authorize::Outcome;
use settle_types::topic;

use crate::bad_inputs::plain;

fn jsonl_row(id: &str, amount_minor: &str) -> String {
    format!(
        r#"{{"event_type":"PAYMENT","payment_id":"{id}","idempotency_key":"key-{id}","debtor_account":"d-1","merchant_id":"m-1","amount_minor":{amount_minor},"currency":"EUR","payment_method":"BANK_TRANSFER","requested_at":"2026-03-02T12:00:00Z"}}"#
    )
}

/// Produces a file with a bad second row and good rows around it.
#[track_caller]
fn produce_with_reject(settle: &Settle, folder: &Path, name: &str, text: &str, more: &[&str], line: usize) {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("the input can be written");
    let rejects = folder.join("rejects.jsonl");
    let (file, rejects_path) = (file.display().to_string(), rejects.display().to_string());
    let mut arguments = vec!["produce", "--input", &file, "--rejects", &rejects_path];
    arguments.extend(more);
    let ended = settle.run(&arguments).expect_code(3);
    for part in [name, &line.to_string(), "amount"] {
        assert!(ended.stderr.contains(part), "{name}: {part:?} was expected in\n{}", ended.stderr);
    }
    let rejected = std::fs::read_to_string(&rejects).expect("there is a file of rejects");
    let rejected: Vec<&str> = rejected.lines().collect();
    let [rejected] = rejected.as_slice() else { panic!("{name}: one reject was expected: {rejected:?}") };
    let rejected: serde_json::Value = serde_json::from_str(rejected).expect("a reject is an object of JSON");
    assert_eq!(rejected["line"], line, "{name}: {rejected}");
    assert!(rejected.to_string().contains("amount"), "{name}: {rejected}");
    assert_eq!(Topics::read(settle.data()).count(topic::REQUESTED), 2, "{name}: the good rows were written");
}

#[test]
fn an_amount_beyond_64_bits_in_a_jsonl_row_is_rejected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = plain(folder.path());
    let rows = [jsonl_row("p-1", "100"), jsonl_row("p-2", "9223372036854775808"), jsonl_row("p-3", "300")];
    produce_with_reject(&settle, folder.path(), "requests.jsonl", &rows.join("\n"), &[], 2);
    settle.settle();
    let topics = Topics::read(settle.data());
    invariants::check(&topics);
    assert_eq!(invariants::outcomes(&topics), [(Outcome::Approved, 2)].into());
}

#[test]
fn an_amount_beyond_64_bits_in_a_csv_row_is_rejected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settle = Settle::new(folder.path().join("data")).with_config(example("orders-settle.toml"));
    let text = "\"order_id\";\"account_id\";\"bank_to\";\"account_to\";\"amount\";\"k_symbol\"\n\
        1;1;\"YZ\";\"87144583\";2452.00;\"SIPO\"\n\
        2;2;\"ST\";\"89597016\";92233720368547758.08;\"UVER\"\n\
        3;3;\"QR\";\"13943797\";7266.10;\" \"\n";
    let mapping = example("orders.toml").display().to_string();
    produce_with_reject(&settle, folder.path(), "orders.csv", text, &["--mapping", &mapping], 3);
}
