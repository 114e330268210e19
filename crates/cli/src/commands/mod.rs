//! One module per command.

pub(crate) mod config;
pub(crate) mod dead_letter;
pub(crate) mod demo;
pub(crate) mod inspect;
pub(crate) mod produce;
pub(crate) mod run;
pub(crate) mod topics;
pub(crate) mod verify;
