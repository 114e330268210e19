//! What a simulated cluster is like, and what can be made to go wrong in it.

/// Settings of a simulated cluster. Times are virtual milliseconds.
#[derive(Debug, Clone)]
pub struct SimulatedOptions {
    /// Decides every delay and every order.
    pub seed: u64,
    /// How long a transaction may be open.
    pub transaction_timeout_ms: u64,
    /// How long the coordinator may take to notice one that is open for longer.
    pub timeout_scan_ms: u64,
    /// How long a client waits for the end of its transaction.
    pub commit_timeout_ms: u64,
    /// Silence after which a member is taken out of its group.
    pub session_timeout_ms: u64,
    /// Time between two heartbeats: how late a member learns what happened to its group.
    pub heartbeat_ms: u64,
    /// How long a group waits for its members to join again.
    pub rebalance_timeout_ms: u64,
    /// How long the marker of an ended transaction takes to a partition, at most, unless a fault makes it late.
    pub marker_ms: u64,
    /// Members keep what stays theirs in a rebalance; otherwise they give up everything first.
    pub is_cooperative: bool,
    /// A deliberate bug of the client, for checking the simulator.
    pub client_bug: Option<ClientBug>,
}

impl Default for SimulatedOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            transaction_timeout_ms: 10_000,
            timeout_scan_ms: 2_000,
            commit_timeout_ms: 6_000,
            session_timeout_ms: 6_000,
            heartbeat_ms: 1_000,
            rebalance_timeout_ms: 8_000,
            marker_ms: 20,
            is_cooperative: false,
            client_bug: None,
        }
    }
}

/// Something that goes wrong once, at the next occasion after it was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkFault {
    /// The request to end a transaction never arrives.
    EndRequestLost,
    /// It is carried out, and the answer never arrives.
    EndReplyLost,
    /// It arrives after the client gave up waiting: perhaps during the next transaction.
    EndLate,
    /// It is carried out and answered, and a copy of it arrives later.
    EndCopied,
    /// A copy of the request that adds a partition to a transaction arrives later.
    AddPartitionLate,
    /// The positions of a transaction never arrive.
    OffsetsLost,
    /// A copy of the positions of a transaction arrives later.
    OffsetsLate,
    /// A record of a transaction is refused.
    WriteFails,
    /// The request to abort never arrives.
    AbortLost,
    /// Markers of one transaction take seconds to some of its partitions.
    MarkersLate,
    /// A fetch delivers again what it delivered before.
    DeliveredTwice,
    /// A group finds a new assignment.
    Rebalance,
    /// A group takes a member out that is alive, and tells it later.
    MemberLost,
}

impl NetworkFault {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::EndRequestLost,
        Self::EndReplyLost,
        Self::EndLate,
        Self::EndCopied,
        Self::AddPartitionLate,
        Self::OffsetsLost,
        Self::OffsetsLate,
        Self::WriteFails,
        Self::AbortLost,
        Self::MarkersLate,
        Self::DeliveredTwice,
        Self::Rebalance,
        Self::MemberLost,
    ];
}

/// A deliberate bug of the client: what the one for Kafka takes care not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientBug {
    /// The end of a transaction is asked for again while a first request is under way, and the producer is kept.
    RetriesEnd,
    /// A producer that lost a connection during a successful commit is used for the next transaction.
    KeepsProducer,
    /// A partition that was read before goes on where its reading stood, wherever it is sought.
    ForgetsSeek,
    /// Positions that an open transaction may still change are taken for settled.
    ReadsUnstableOffsets,
    /// Records of open and aborted transactions are delivered.
    ReadsUncommitted,
    /// Positions are published in the name of a present member, whoever publishes them.
    BorrowsMembership,
}

impl ClientBug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RetriesEnd,
        Self::KeepsProducer,
        Self::ForgetsSeek,
        Self::ReadsUnstableOffsets,
        Self::ReadsUncommitted,
        Self::BorrowsMembership,
    ];
}

/// A place in a client's work before which a simulation may let others go on, or end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A poll.
    Poll,
    /// A look at the group's offsets.
    FetchOffsets,
    /// A look at the ends of a partition.
    LookUpEnd,
    /// A read outside the group.
    Read,
    /// A new producer takes over.
    Init,
    /// A transaction begins.
    Begin,
    /// A record is handed over.
    Send,
    /// Positions are published.
    PublishOffsets,
    /// Positions are published, records are still under way.
    Drain,
    /// Everything is acknowledged, the end is asked for next.
    End,
    /// The end was asked for and is carried out, the client does not know yet.
    Ended,
    /// A transaction is aborted.
    Abort,
}
