//! The codec of the hot path against apache-avro, an implementation that shares no code with it.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use settle_schema::{AvroRecord, HEADER_LENGTH, decode, encode};
use settle_types::authorize::{DecisionEvent, PaymentApproved, PaymentResult};
use settle_types::request::PaymentRequested;
use settle_types::settle::{LedgerTransaction, Payout, SettlementEvent};

use crate::random::any_record;

/// Bytes equal on writing, values equal on reading, whichever of the two wrote.
fn check_agreement<T>(record: &T) -> Result<(), TestCaseError>
where
    T: AvroRecord + PartialEq + std::fmt::Debug,
{
    let schema = Schema::parse_str(T::SCHEMA.text()).expect("a built-in schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("self-contained");
    let reader = GenericDatumReader::builder(&schema).build().expect("self-contained");

    let mut ours = Vec::new();
    encode(record, &mut ours);
    let theirs = writer.write_ser_to_vec(record).expect("the record follows its schema");
    prop_assert_eq!(&ours[HEADER_LENGTH..], &theirs[..]);

    prop_assert_eq!(&decode::<T>(&ours).expect("our own bytes"), record);
    let read: T = reader.read_deser(&mut &theirs[..]).expect("its own bytes");
    prop_assert_eq!(&read, record);
    Ok(())
}

proptest! {
    #[test]
    fn payment_requested(record in any_record::<PaymentRequested>()) { check_agreement(&record)?; }

    #[test]
    fn decision_event(record in any_record::<DecisionEvent>()) { check_agreement(&record)?; }

    #[test]
    fn payment_approved(record in any_record::<PaymentApproved>()) { check_agreement(&record)?; }

    #[test]
    fn payment_result(record in any_record::<PaymentResult>()) { check_agreement(&record)?; }

    #[test]
    fn settlement_event(record in any_record::<SettlementEvent>()) { check_agreement(&record)?; }

    #[test]
    fn ledger_transaction(record in any_record::<LedgerTransaction>()) { check_agreement(&record)?; }

    #[test]
    fn payout(record in any_record::<Payout>()) { check_agreement(&record)?; }
}
