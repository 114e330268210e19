//! End-to-end tests: they run the binary `settle` as its users do, and judge it by what it wrote.

mod bad_inputs;
mod bad_machines;
mod bad_rows;
mod card_numbers;
mod command_line;
mod demo;
mod determinism;
mod error_pages;
mod failed_commits;
mod kills;
mod orders;
mod verify;
