//! The embedded log from outside: what it promises to workers and operators.

#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "the other test program uses the rest of what they share")]

mod common;

mod consuming;
mod damage;
mod faults;
mod model;
mod transactions;
