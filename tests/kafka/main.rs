//! Settle on real Kafka: processes that are killed, stopped, rolled and cut off, judged by a client that shares no code
//! with them.
//!
//! Every test starts the cluster that it needs (docs/architecture.md, "Kafka: exactly once"). Random ones print their seed;
//! `SETTLE_TEST_SEED` repeats one. `SETTLE_TORTURE=full` makes the rounds long: `make torture`.

mod bad_starts;
mod deployment;
mod foreign_clients;
mod garbage;
mod registry;
mod security;
mod snapshots;
mod standby;
mod torture;
mod unknown_commit;
mod zombie;
