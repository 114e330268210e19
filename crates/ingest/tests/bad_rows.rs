//! One row per way in which a row of a request file can be wrong: which reject it becomes, and that the rows around
//! it go on.

use std::path::{Path, PathBuf};

use settle_ingest::{Format, Mapping, Place, Reject, Requests};
use settle_types::CurrencyTable;
use settle_types::request::PaymentRequested;

const MAPPING: &str = r#"
[file]
delimiter = ";"
decimal_separator = ","

[fields]
event_type = { column = "type", map = { P = "PAYMENT", R = "REFUND" } }
payment_id = { template = "order-{id}" }
idempotency_key = { column = "id" }
debtor_account = { column = "debtor" }
merchant_id = { constant = "m-1" }
amount = { column = "sum", unit = "decimal" }
currency = { column = "cur" }
payment_method = { constant = "CARD" }
requested_at = { column = "at", format = "%d.%m.%Y %H:%M", zone = "Europe/Prague" }
country = { column = "country" }
priority = { column = "prio" }
card.token = { column = "token" }
card.bin = { column = "bin" }
metadata.note = { template = "{country}/{prio}" }
"#;

const HEADER: &str = "type;id;debtor;sum;cur;at;country;prio;token;bin";
const GOOD: &str = "P;1;acct-1;12,50;EUR;02.03.2026 10:15;CZ;0;tok_1;411111";

/// A file in a folder that lives as long as the value.
struct Input {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn input(name: &str, bytes: &[u8]) -> Input {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("the input can be written");
    Input { _folder: folder, path }
}

fn read(path: &Path, format: Format, mapping: Option<&str>) -> (Vec<PaymentRequested>, Vec<Reject>) {
    let mapping = mapping.map(|text| {
        let file = input("mapping.toml", text.as_bytes());
        Mapping::load(&file.path).expect("the mapping is valid")
    });
    let opened = Requests::open(path, format, mapping, &CurrencyTable::iso_4217());
    let (mut requests, mut rejects) = (Vec::new(), Vec::new());
    for row in opened.expect("the file can be read") {
        match row.expect("the file can be read to its end") {
            Ok(request) => requests.push(request),
            Err(reject) => rejects.push(reject),
        }
    }
    (requests, rejects)
}

/// Checks the only reject of a file: its line, column, value, and a part of what was expected.
#[track_caller]
fn check_reject(
    rejects: &[Reject],
    line: u64,
    column: Option<&str>,
    value: Option<&str>,
    expected: &str,
    raw: &str,
) {
    let [reject] = rejects else { panic!("one reject was expected for {raw:?}: {rejects:?}") };
    assert_eq!(reject.place, Place::Line(line), "{reject}");
    assert_eq!(reject.column.as_deref(), column, "{reject}");
    assert_eq!(reject.value.as_deref(), value, "{reject}");
    assert!(reject.expected.contains(expected), "{reject}\nwas expected to say {expected:?}");
    assert_eq!(String::from_utf8_lossy(&reject.raw), raw, "{reject}");
}

type Case = (&'static str, Option<&'static str>, Option<&'static str>, &'static str);

#[test]
fn bad_rows_of_csv() {
    let cases: [Case; 22] = [
        ("X;2;a;1;EUR;02.03.2026 10:15;;;;", Some("type"), Some("X"), "a value of the map"),
        (";2;a;1;EUR;02.03.2026 10:15;;;;", Some("type"), None, "a value for event_type"),
        ("P;;a;1;EUR;02.03.2026 10:15;;;;", Some("id"), None, "a value for"),
        (
            "P;2; ;1;EUR;02.03.2026 10:15;;;;",
            Some("debtor"),
            None,
            "a value for debtor_account: the column is blank",
        ),
        ("P;2;a;;EUR;02.03.2026 10:15;;;;", Some("sum"), None, "a value for amount"),
        ("P;2;a;1;;02.03.2026 10:15;;;;", Some("cur"), None, "a value for currency"),
        ("P;2;a;1;EUR;;;;;", Some("at"), None, "a value for requested_at"),
        ("P;2;a;12.50;EUR;02.03.2026 10:15;;;;", Some("sum"), Some("12.50"), "at most one \",\""),
        ("P;2;a;1 000,00;EUR;02.03.2026 10:15;;;;", Some("sum"), Some("1 000,00"), "digits"),
        ("P;2;a;12,345;EUR;02.03.2026 10:15;;;;", Some("sum"), Some("12,345"), "at most 2 decimals for EUR"),
        ("P;2;a;0,5;JPY;02.03.2026 10:15;;;;", Some("sum"), Some("0,5"), "at most 0 decimals for JPY"),
        (
            "P;2;a;92233720368547758,08;EUR;02.03.2026 10:15;;;;",
            Some("sum"),
            // As long as a card number: not copied into messages.
            Some("*****************,08"),
            "within 64-bit minor units",
        ),
        ("P;2;a;1,00;EURO;02.03.2026 10:15;;;;", Some("sum"), Some("1,00"), "a known currency"),
        ("P;2;a;1;EUR;2026-03-02T10:15:00Z;;;;", Some("at"), Some("2026-03-02T10:15:00Z"), "%d.%m.%Y %H:%M"),
        ("P;2;a;1;EUR;31.02.2026 10:15;;;;", Some("at"), Some("31.02.2026 10:15"), "a time of the format"),
        ("P;2;a;1;EUR;02.03.2026 10:15;;high;;", Some("prio"), Some("high"), "an integer"),
        ("P;2;a;1;EUR;02.03.2026 10:15;;;;411111", Some("token"), None, "a value for card.token"),
        ("P;2;a;1;EUR;02.03.2026 10:15", None, None, "10 columns as in the header, found 6"),
        ("P;2;a;1;EUR;02.03.2026 10:15;;;;;;", None, None, "found 12"),
        (
            "P;2;\"a\"b;1;EUR;02.03.2026 10:15;;;;",
            Some("debtor"),
            None,
            "a delimiter after the closing quote",
        ),
        ("P;2;\"a;1;EUR;02.03.2026 10:15;;;;", Some("debtor"), None, "a closing quote"),
        (
            "P;2;a;4111 1111 1111 1111;EUR;02.03.2026 10:15;;;;",
            Some("sum"),
            Some("**** **** **** ****"),
            "digits",
        ),
    ];
    for (row, column, value, expected) in cases {
        let file = input("orders.csv", format!("{HEADER}\n{GOOD}\n\n{row}\n{GOOD}\n").as_bytes());
        let (requests, rejects) = read(&file.path, Format::Csv, Some(MAPPING));
        assert_eq!(requests.len(), 2, "{row}: the rows around it go on");
        check_reject(&rejects, 4, column, value, expected, row);
        assert!(!rejects[0].to_string().contains("1111 1111"), "{}", rejects[0]);
    }
}

#[test]
fn good_values_of_csv_arrive_as_they_are() {
    let multi_line = "R;\"2\n3\";\"a;\"\"b\"\"\";-0,10;EUR;01.07.2026 00:30; ;;;";
    let file =
        input("orders.csv", format!("\u{feff}{HEADER}\r\n{GOOD}\r\n{multi_line}\r\n{GOOD}").as_bytes());
    let (requests, rejects) = read(&file.path, Format::Csv, Some(MAPPING));
    assert_eq!(rejects, []);
    let [first, second, _] = requests.as_slice() else { panic!("three requests: {requests:?}") };
    assert_eq!(first.payment_id.as_str(), "order-1");
    assert_eq!(first.amount_minor, 1_250);
    assert_eq!(first.requested_at.to_string(), "2026-03-02T09:15:00.000000Z");
    assert_eq!(first.metadata.get("note").map(AsRef::as_ref), Some("CZ/0"));
    let card = first.card.as_ref().expect("a card");
    assert_eq!((card.token.as_str(), card.bin.as_deref(), &card.last4), ("tok_1", Some("411111"), &None));
    assert_eq!(second.event_type.as_str(), "REFUND");
    assert_eq!(second.payment_id.as_str(), "order-2\n3");
    assert_eq!(second.debtor_account.as_str(), "a;\"b\"");
    // A negative amount is judged by AUTHORIZE, not here.
    assert_eq!(second.amount_minor, -10);
    assert_eq!(second.requested_at.to_string(), "2026-06-30T22:30:00.000000Z");
    assert_eq!((&second.country, &second.card, second.priority), (&None, &None, 0));
    assert!(second.metadata.is_empty(), "a template of blank columns is absent");
}

#[test]
fn a_file_that_is_no_text_is_rejected_row_by_row() {
    let mut bytes = format!("{HEADER}\n{GOOD}\nP;2;").into_bytes();
    bytes.extend_from_slice(b"Dvo\xf8\xe1k;1;EUR;02.03.2026 10:15;;;;\n");
    let file = input("orders.csv", &bytes);
    let (requests, rejects) = read(&file.path, Format::Csv, Some(MAPPING));
    assert_eq!((requests.len(), rejects.len()), (1, 1));
    assert_eq!(rejects[0].column.as_deref(), Some("debtor"));
    assert!(rejects[0].expected.contains("UTF-8"), "{}", rejects[0]);
    assert!(rejects[0].raw.windows(2).any(|pair| pair == b"\xf8\xe1"), "the row is kept as it is");
}

#[test]
fn a_row_beyond_the_limit_is_one_reject_and_a_stray_quote_costs_one_row() {
    let long = "x".repeat(settle_ingest::MAX_ROW_BYTES + 1);
    let text = format!("{HEADER}\n{long}\n{GOOD}\nP;\"7;a\n{GOOD}\n{GOOD}\n");
    let file = input("orders.csv", text.as_bytes());
    let (requests, rejects) = read(&file.path, Format::Csv, Some(MAPPING));
    assert_eq!(requests.len(), 3);
    let places: Vec<_> = rejects.iter().map(|reject| (reject.place, reject.raw_truncated)).collect();
    assert_eq!(places, [(Place::Line(2), true), (Place::Line(4), false)]);
    assert_eq!(rejects[0].raw.len(), settle_ingest::MAX_ROW_BYTES);
    assert!(rejects[0].expected.contains("bytes"), "{}", rejects[0]);

    // A quoted text may have line breaks, but not hundreds.
    let lines = "x\n".repeat(200);
    let file = input("orders.csv", format!("{HEADER}\nP;\"{lines}\n{GOOD}\n").as_bytes());
    let (requests, rejects) = read(&file.path, Format::Csv, Some(MAPPING));
    assert_eq!((requests.len(), rejects.len()), (1, 200));
    assert_eq!(rejects[0].column.as_deref(), Some("id"), "{}", rejects[0]);

    let file = input("requests.jsonl", format!("{long}\n{}\n", jsonl(&[])).as_bytes());
    let (requests, rejects) = read(&file.path, Format::Jsonl, None);
    assert_eq!((requests.len(), rejects.len()), (1, 1));
    assert!(rejects[0].raw_truncated);
}

const JSONL_FIELDS: [(&str, &str); 9] = [
    ("event_type", "\"PAYMENT\""),
    ("payment_id", "\"p-1\""),
    ("idempotency_key", "\"k-1\""),
    ("debtor_account", "\"d-1\""),
    ("merchant_id", "\"m-1\""),
    ("amount_minor", "1250"),
    ("currency", "\"EUR\""),
    ("payment_method", "\"CARD\""),
    ("requested_at", "1772442900000000"),
];

/// A row of JSONL with some fields replaced, added, or (for an empty value) left out.
fn jsonl(changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(&str, &str)> = JSONL_FIELDS.to_vec();
    for (name, value) in changes {
        match fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    let written = fields.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = written.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[test]
fn bad_rows_of_jsonl() {
    type Change = (&'static str, &'static str);
    let changed: [(Change, Option<&str>, Option<&str>, &str); 21] = [
        (
            ("amount_minor", "9223372036854775808"),
            Some("amount_minor"),
            Some("*******************"),
            "an integer",
        ),
        (("amount_minor", "12.50"), Some("amount_minor"), Some("12.5"), "an integer of minor units"),
        (("amount_minor", "\"1250\""), Some("amount_minor"), Some("1250"), "without quotes"),
        (("amount_minor", "null"), Some("amount_minor"), None, "the field is required"),
        (("amount_minor", ""), Some("amount_minor"), None, "the field is required"),
        (("currency", ""), Some("currency"), None, "the field is required"),
        (("event_type", "\"PAYMNT\""), Some("event_type"), Some("PAYMNT"), "did you mean \"PAYMENT\"?"),
        (("payment_id", "17"), Some("payment_id"), Some("17"), "a text, found an integer"),
        (("requested_at", "\"yesterday\""), Some("requested_at"), Some("yesterday"), "an ISO 8601 time"),
        (
            ("requested_at", "\"2026-03-02T09:15:00\""),
            Some("requested_at"),
            Some("2026-03-02T09:15:00"),
            "with a zone",
        ),
        (("execute_at", "true"), Some("execute_at"), Some("true"), "an ISO 8601 time"),
        (("priority", "\"high\""), Some("priority"), Some("high"), "0 (normal) to 9"),
        (("priority", "2147483648"), Some("priority"), Some("2147483648"), "0 (normal) to 9"),
        (("merchantid", "\"m\""), Some("merchantid"), None, "did you mean \"merchant_id\"?"),
        (("card", "\"4111111111111111\""), Some("card"), Some("****************"), "an object"),
        (("card", "{\"bin\":\"411111\"}"), Some("card.token"), None, "the field is required"),
        (("card", "{\"tokn\":\"t\"}"), Some("card.tokn"), None, "did you mean \"token\"?"),
        (("card", "{\"token\":\"t\",\"token\":\"u\"}"), Some("card.token"), None, "each field once"),
        (("metadata", "[]"), Some("metadata"), Some("[...]"), "an object, found an array"),
        (("metadata", "{\"a\":1}"), Some("metadata.a"), Some("1"), "a text, found an integer"),
        (("metadata", "{\"a\":\"1\",\"a\":\"2\"}"), Some("metadata.a"), None, "each name once"),
    ];
    let mut cases: Vec<(String, Option<&str>, Option<&str>, &str)> = Vec::new();
    for (change, column, value, expected) in changed {
        cases.push((jsonl(&[change]), column, value, expected));
    }
    let twice = jsonl(&[]).replace("{\"event_type\"", "{\"currency\":\"USD\",\"event_type\"");
    cases.push((twice, Some("currency"), None, "each field once"));
    cases.push(("{\"event_type\":".to_owned(), None, None, "it breaks at character 14: EOF"));
    cases.push((jsonl(&[]) + "{}", None, None, "trailing characters"));
    cases.push(("[1,2]".to_owned(), None, None, "found an array"));
    cases.push(("17".to_owned(), None, None, "found an integer"));
    cases.push(("{\"a\":".repeat(200), None, None, "recursion limit"));
    cases.push(("[".repeat(200), None, None, "EOF"));
    for (row, column, value, expected) in cases {
        let good = jsonl(&[]);
        let file = input("requests.jsonl", format!("{good}\n\n{row}\n{good}").as_bytes());
        let (requests, rejects) = read(&file.path, Format::Jsonl, None);
        assert_eq!(requests.len(), 2, "{row}: the rows around it go on");
        check_reject(&rejects, 3, column, value, expected, &row);
    }
}

#[test]
fn what_can_be_encoded_goes_on_to_be_judged() {
    let changes = [
        ("amount_minor", "0"),
        ("amount_minor", "-9223372036854775808"),
        ("currency", "\"XYZ\""),
        ("idempotency_key", "\"\""),
        ("event_type", "\"UNKNOWN\""),
        ("priority", "10"),
        ("country", "\"nowhere\""),
        ("card", "null"),
        ("card", "{\"token\":\"4111111111111111\",\"last4\":null}"),
        ("metadata", "{\"note\":\"4111111111111111\",\"gone\":null}"),
        ("requested_at", "\"2999-01-01T00:00:00+02:00\""),
        ("execute_at", "null"),
    ];
    for change in changes {
        let row = jsonl(&[change]);
        let file = input("requests.jsonl", row.as_bytes());
        let (requests, rejects) = read(&file.path, Format::Jsonl, None);
        assert_eq!((requests.len(), rejects.len()), (1, 0), "{row}: {rejects:?}");
    }
}
