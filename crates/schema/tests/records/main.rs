//! Every record, every schema file, and bytes that are none.

mod agreement;
mod evolution;
mod folder;
mod golden;
mod hostile;
mod random;
mod samples;
