//! The client against a real HTTP server with canned answers, and the resolution of schemas against a model.

mod background;
mod damage;
mod model;
mod resolution;
mod server;
mod start;
mod tls;
mod writers;

use super::{Registry, RegistryOptions};
use server::Server;

/// Short pauses, so that tests of failures take little time.
fn options(server: &Server) -> RegistryOptions {
    RegistryOptions {
        urls: vec![server.url()],
        auto_register: true,
        attempts: 3,
        backoff_ms: 5,
        max_backoff_ms: 20,
        request_timeout_ms: 5_000,
        ..RegistryOptions::default()
    }
}

fn connect(server: &Server) -> Registry {
    Registry::connect(options(server)).expect("valid options")
}

/// A body with a schema's text in it.
fn schema_body(text: &str) -> String {
    serde_json::json!({ "schema": text }).to_string()
}

fn version_body(number: u32, id: u32, text: &str) -> String {
    serde_json::json!({ "subject": "s", "version": number, "id": id, "schema": text }).to_string()
}

fn error_body(code: u32) -> String {
    serde_json::json!({ "error_code": code, "message": "canned words" }).to_string()
}
