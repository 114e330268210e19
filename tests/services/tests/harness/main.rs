//! The harness itself, with real services: they start, do their work, break and come back as asked.

#![expect(missing_docs, reason = "tests are named by what they show")]

mod brokers;
mod clients;
