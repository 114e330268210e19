//! Request files and generated traffic: CSV, JSONL and Avro container files become requests; bad rows become rejects.
pub mod generate;
