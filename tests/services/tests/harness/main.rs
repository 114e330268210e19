//! The harness itself, with real services: they start, do their work, break and come back as asked.

mod brokers;
mod clients;
mod foreign;
mod registry;
mod secure;
mod store;
