//! What stops the reading of a file as a whole. A row that is wrong stops nothing: it is a
//! [`Reject`](crate::Reject).

use crate::mapping::MappingError;
use crate::reader::ReadError;
use crate::rejects::RejectsError;

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mapping: no row was read.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The input, as a whole or from some row on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rejects file.
    #[error(transparent)]
    Rejects(#[from] RejectsError),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Mapping(error) => error.hint().to_owned(),
            Self::Read(error) => error.hint(),
            Self::Rejects(error) => error.hint().to_owned(),
        }
    }
}
