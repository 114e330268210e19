//! The commit and restore protocol of docs/architecture.md as a model that a machine searches whole.
//!
//! What is in it: one input partition with a few records and a timer, the journal and one output partition, a
//! transaction coordinator with epochs, the group with generations and pending offsets, commit markers that reach
//! each partition on their own, and two workers, each with a store whose memtable a crash loses. What may go wrong:
//! a request is delayed and arrives at any later time, even in a later transaction, while its sender repeats it or
//! gives up; an answer is lost; a worker dies, sleeps through the loss of its partition and wakes as a zombie; the
//! cluster aborts a transaction that takes too long.
//!
//! The workers follow crates/runtime/src/worker/commit.rs, crates/runtime/src/restore.rs and
//! crates/log/src/kafka/producer.rs; the cluster follows Kafka 4 as a client without KIP-890's epoch for each
//! transaction finds it: the server's own check that a partition belongs to an open transaction is there.
//!
//! What is not in it: late copies of records (their sequence numbers shut them out), leaders that change, records that
//! are lost by brokers, more than one partition, snapshots.
//!
//! - [`cluster`] owns what brokers do with a request.
//! - [`worker`] owns what a worker remembers.
//! - [`pipeline`] owns the actions: who may do what, and what follows from it. It is the model that is searched.
//! - [`properties`] owns what must hold in every state.
//! - `canonical` owns the form in which a search knows a world again.
//! - [`options`] owns the bounds of a search and the mutations: rules of the protocol left out on purpose.

mod canonical;
pub mod cluster;
pub mod options;
pub mod pipeline;
pub mod properties;
pub mod worker;
