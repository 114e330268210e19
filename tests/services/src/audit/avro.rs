//! Values of the topics, read with the schemas of `schemas/` and the codec of Apache Avro. Must not know what a
//! record means.
//!
//! The schema is chosen by the topic and not by the id in the value: a registry gives ids of its own. So a value
//! that an upstream team writes with a newer schema than that of this checkout cannot be read here.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde::de::DeserializeOwned;

use super::topic;

/// Bytes before the Avro body: a zero, and the schema id in four bytes.
pub(super) const HEADER_BYTES: usize = 5;

/// The text of a topic's schema; `None` for dead letters, which have none.
pub(super) fn schema_text(name: &str) -> Option<&'static str> {
    match name {
        topic::REQUESTED => Some(include_str!("../../../../schemas/PaymentRequested.avsc")),
        topic::DECIDED => Some(include_str!("../../../../schemas/DecisionEvent.avsc")),
        topic::APPROVED => Some(include_str!("../../../../schemas/PaymentApproved.avsc")),
        topic::RESULTS => Some(include_str!("../../../../schemas/PaymentResult.avsc")),
        topic::SETTLEMENT_EVENTS => Some(include_str!("../../../../schemas/SettlementEvent.avsc")),
        topic::LEDGER_TRANSACTIONS => Some(include_str!("../../../../schemas/LedgerTransaction.avsc")),
        topic::PAYOUTS => Some(include_str!("../../../../schemas/Payout.avsc")),
        _ => None,
    }
}

/// The schema of a topic that has one.
pub(super) fn schema(name: &str) -> Schema {
    let text = schema_text(name).expect("only topics with a schema are decoded");
    Schema::parse_str(text).expect("the schemas of this checkout are valid")
}

/// Reads the values of one topic.
pub(super) struct Decoder<'s> {
    reader: GenericDatumReader<'s>,
}

impl<'s> Decoder<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        let reader = GenericDatumReader::builder(schema).build();
        Self { reader: reader.expect("the schemas of this checkout are complete in themselves") }
    }

    /// The value, or what is wrong with it.
    pub(super) fn decode<T: DeserializeOwned>(&self, value: Option<&[u8]>) -> Result<T, String> {
        let value = value.ok_or("no value")?;
        let (header, mut body) =
            value.split_at_checked(HEADER_BYTES).ok_or("shorter than the header of the wire format")?;
        if header.first() != Some(&0) {
            return Err("the first byte is not zero".to_owned());
        }
        // By way of a generic value: the codec's direct way cannot skip fields that a type does not have.
        let generic = self.reader.read_value(&mut body).map_err(|error| error.to_string())?;
        if !body.is_empty() {
            return Err(format!("{} bytes follow the record", body.len()));
        }
        apache_avro::from_value(&generic).map_err(|error| error.to_string())
    }
}
