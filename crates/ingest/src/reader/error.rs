//! Errors that end the reading of a file, each with what to do about it.

use std::io;

/// A file that cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened, or a read failed.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A CSV file without a mapping.
    #[error("{file} is CSV, and no mapping says which column is which field")]
    MappingMissing {
        /// The file.
        file: String,
    },
    /// A mapping for a format whose records have field names.
    #[error("{file} is {format}, whose records name their fields: it takes no mapping")]
    MappingNotUsed {
        /// The file.
        file: String,
        /// Its format.
        format: &'static str,
    },
    /// There is no header where one was expected, or it cannot be read.
    #[error("{file}: expected a header with the names of the columns: {problem}")]
    HeaderInvalid {
        /// The file.
        file: String,
        /// What was found.
        problem: String,
    },
    /// A column that the mapping names is not there, or there twice.
    #[error("{file}: column \"{column}\", which the mapping names for {field}, is not there exactly once")]
    ColumnMissing {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The field that it is for.
        field: String,
        /// The nearest column, or those that are there.
        hint: String,
    },
    /// The file is not an Avro object container file.
    #[error("{file} is not an Avro object container file: {problem}")]
    NotAvro {
        /// The file.
        file: String,
        /// What was found.
        problem: String,
    },
    /// The schema of the container is not that of a request.
    #[error("{file}: the schema of its records does not fit PaymentRequested: {problem}")]
    AvroSchema {
        /// The file.
        file: String,
        /// Which field, and what was expected.
        problem: String,
    },
    /// A block of the container is damaged; records before it have been read.
    #[error("{file}: damaged after record {records}: {problem}")]
    AvroDamaged {
        /// The file.
        file: String,
        /// Records that were read.
        records: u64,
        /// What was found.
        problem: String,
    },
}

impl ReadError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path, its permissions and the disk".to_owned(),
            Self::MappingMissing { .. } => {
                "name a mapping file with --mapping; deploy/examples/orders.toml is an example".to_owned()
            }
            Self::MappingNotUsed { .. } => "leave --mapping out, or check the format of the file".to_owned(),
            Self::HeaderInvalid { .. } => {
                "check delimiter and quote in the mapping; for a file without a header set header = false and columns"
                    .to_owned()
            }
            Self::ColumnMissing { hint, .. } => format!("{hint} Check delimiter and column names in the mapping"),
            Self::NotAvro { .. } => "write it with an Avro file writer (codec null, deflate or snappy), or name \
                                     the right format"
                .to_owned(),
            Self::AvroSchema { .. } => "write records with schemas/PaymentRequested.avsc, or with fields of the same \
                                        names and types"
                .to_owned(),
            Self::AvroDamaged { .. } => "write the file again and produce it whole: requests that were taken already \
                                         are answered as replays"
                .to_owned(),
        }
    }
}
