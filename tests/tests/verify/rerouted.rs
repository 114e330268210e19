//! Requests in the wrong partition: decided in the right one, and verified in both.

use settle_config::DEMO_TOML;
use settle_tests::requests::{encoded, payment};
use settle_tests::{Settle, Topics, Writer};
use settle_types::topic;

use super::{assert_accepted, audit};

/// Requests of twenty debtors, all in the first of three partitions, some twice.
fn sent_on() -> Topics {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("settle.toml");
    std::fs::write(&config, DEMO_TOML).expect("the folder can be written");
    let settle = Settle::new(folder.path().join("data"))
        .with_config(&config)
        .with("kafka.wrong_partition=\"reroute\"");
    let mut writer = Writer::open(settle.data(), 3);
    for number in 0..60 {
        let debtor = format!("acct-{:02}", number % 20);
        let request = payment(&debtor, &format!("p-{}", number % 50));
        let value = encoded(&request);
        writer.send(0, request.requested_at.as_millis() + number, Some(debtor.as_bytes()), Some(&value));
    }
    writer.commit();
    settle.settle();
    Topics::read(settle.data())
}

#[test]
fn requests_that_were_sent_on_are_accepted_and_a_changed_copy_is_found() {
    let topics = sent_on();
    let sent_on = topics.count(topic::REROUTED);
    assert!(sent_on > 20, "{sent_on} requests were sent on");
    let report = audit(&topics);
    assert_accepted(&report);
    assert_eq!(report.checked.redecided, report.checked.events);

    let (partition, records) =
        topics.of(topic::REROUTED).max_by_key(|(_, records)| records.len()).expect("partitions");
    let index = records.len() / 2;
    let place = format!("{}/{partition}@{index}", topic::REROUTED);
    let mut changed = topics.clone();
    let record = &mut changed.partition_mut(topic::REROUTED, partition)[index];
    let mut request: settle_types::request::PaymentRequested = settle_tests::topics::value(record);
    request.amount_minor += 1;
    record.value = Some(encoded(&request).into());
    let first = audit(&changed).first.expect("a record was changed");
    assert_eq!(first.place.to_string(), place);

    let mut swapped = topics.clone();
    swapped.partition_mut(topic::REROUTED, partition).swap(index, index + 1);
    let first = audit(&swapped).first.expect("two records were swapped");
    assert_eq!(first.place.to_string(), place);
}
