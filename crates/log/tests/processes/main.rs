//! The embedded log between processes. A program of its own: a process that is being started shares the locks of
//! the one that starts it for a moment, and a test that opens a log again just then would find it in use.

#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "the other test program uses the rest of what they share")]

#[path = "../embedded/common.rs"]
mod common;

mod locking;
