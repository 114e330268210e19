//! The embedded log from outside: what it promises to workers and operators.

#![allow(clippy::unwrap_used)]

mod common;

mod consuming;
mod damage;
mod faults;
mod locking;
mod model;
mod transactions;
