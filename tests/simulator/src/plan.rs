//! What a run does: drawn from its seed, and short enough to be shrunk.

use settle_log::simulated::{Chance, NetworkFault, Step};

use crate::workload::{self, Planned};

/// A place in a process's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Before the so-manieth step from now on, whichever it is.
    Any(u64),
    /// Before the next step of this kind.
    Before(Step),
    /// Before the next write of a store.
    StoreWrite,
    /// After it.
    StoreWritten,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// In the cluster, or between it and a client.
    Network(NetworkFault),
    /// A process is killed: what its stores had not flushed is gone.
    Crash(Point),
    /// A process is killed, and its disk is gone.
    LostDisk(Point),
    /// A process stands still for less than its session.
    Stall(Point),
    /// A process stands still beyond its session, and wakes.
    Zombie(Point),
    /// A process stands still beyond its session and its transaction, and wakes.
    LongZombie(Point),
    /// Another process takes the place of one that stands still, and that one wakes.
    ReplacedZombie(Point),
    /// A store writes its memtable to disk by itself.
    BackgroundFlush,
    /// All clocks leap ahead by hours or days.
    ClocksForward,
    /// The clock of one process goes wrong, ahead or back.
    ClockWrong,
    /// Every process is told to end in turn, and started again.
    Roll,
}

impl FaultKind {
    /// The name of the kind, for counts.
    pub fn name(self) -> String {
        match self {
            Self::Network(fault) => format!("{fault:?}"),
            Self::Crash(_) => "Crash".to_owned(),
            Self::LostDisk(_) => "LostDisk".to_owned(),
            Self::Stall(_) => "Stall".to_owned(),
            Self::Zombie(_) => "Zombie".to_owned(),
            Self::LongZombie(_) => "LongZombie".to_owned(),
            Self::ReplacedZombie(_) => "ReplacedZombie".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// Names of all kinds that a plan may have, and of what is damaged after a run.
    pub fn all_names() -> Vec<String> {
        let mut names: Vec<String> = NetworkFault::ALL.iter().map(|fault| format!("{fault:?}")).collect();
        let point = Point::Any(0);
        let others = [
            Self::Crash(point),
            Self::LostDisk(point),
            Self::Stall(point),
            Self::Zombie(point),
            Self::LongZombie(point),
            Self::ReplacedZombie(point),
            Self::BackgroundFlush,
            Self::ClocksForward,
            Self::ClockWrong,
            Self::Roll,
        ];
        names.extend(others.map(Self::name));
        names.extend(["LostMemtable", "JournalDamaged", "JournalForeign"].map(str::to_owned));
        names
    }
}

/// When it goes wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Virtual milliseconds.
    pub at_ms: u64,
    /// Ordinal of the process; what concerns the cluster does not look at it.
    pub process: u32,
    /// What.
    pub kind: FaultKind,
    /// Decides the details: how long, how much.
    pub detail: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides what the lists below do not: delays and orders.
    pub seed: u64,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Processes, each with a worker of each stage.
    pub processes: u32,
    /// Members keep what stays theirs in a rebalance.
    pub is_cooperative: bool,
    /// Time between two commits, in virtual milliseconds.
    pub commit_interval_ms: u64,
    /// Most input records of a transaction.
    pub commit_records: u64,
    /// Due rows handled before a worker looks at its limits again.
    pub tick_items: usize,
    /// Time between two turns of a worker, at most.
    pub turn_ms: u64,
    /// Time between two flushes of a store.
    pub flush_interval_ms: u64,
    /// The requests.
    pub requests: Vec<Planned>,
    /// The faults.
    pub faults: Vec<PlannedFault>,
    /// What is done to a journal after the run: a restore must not get over it.
    pub damage: Option<Damage>,
}

/// What is done to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A record loses its end.
    CutShort,
    /// A record is replaced by bytes that mean nothing.
    Garbage,
    /// A record is replaced by another one of the journal.
    Copied,
    /// A record needs a newer program.
    Newer,
    /// Somebody else writes to the journal.
    Foreign,
}

/// Virtual time in which requests come and things go wrong.
const SPAN_MS: u64 = 40_000;

impl Plan {
    /// The run of this seed.
    pub fn of_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 0);
        let partitions = u32::try_from(chance.between(2, 4)).expect("a few");
        let processes = u32::try_from(chance.between(2, 3)).expect("a few");
        let request_count = chance.between(100, 350);
        let fault_count = chance.between(1, 14);
        let damages = [
            Damage::CutShort,
            Damage::Garbage,
            Damage::Copied,
            Damage::Newer,
            Damage::Foreign,
            Damage::Foreign,
        ];
        let damage = if chance.one_in(5) { chance.pick(&damages).copied() } else { None };
        Self {
            seed,
            partitions,
            processes,
            is_cooperative: chance.one_in(2),
            commit_interval_ms: *chance.pick(&[20, 100, 100, 500, 2_000]).expect("some"),
            commit_records: *chance.pick(&[5, 50, 10_000]).expect("some"),
            tick_items: *chance.pick(&[1, 3, 256]).expect("some"),
            turn_ms: *chance.pick(&[60, 120, 240]).expect("some"),
            flush_interval_ms: *chance.pick(&[1_000, 10_000, 60_000]).expect("some"),
            requests: workload::requests(&mut chance, request_count, SPAN_MS, partitions),
            faults: faults(&mut chance, fault_count, processes),
            damage,
        }
    }

    /// When the last thing of the plan comes.
    pub fn end_ms(&self) -> u64 {
        let requests = self.requests.iter().map(|request| request.at_ms);
        requests.chain(self.faults.iter().map(|fault| fault.at_ms)).max().unwrap_or(0)
    }
}

fn point(chance: &mut Chance) -> Point {
    let steps = [
        Step::Poll,
        Step::FetchOffsets,
        Step::LookUpEnd,
        Step::Read,
        Step::Begin,
        Step::Send,
        Step::PublishOffsets,
        Step::PublishOffsets,
        Step::Drain,
        Step::Drain,
        Step::End,
        Step::End,
        Step::Ended,
        Step::Ended,
        Step::Abort,
        Step::Init,
    ];
    match chance.below(10) {
        0..=2 => Point::Any(chance.below(60)),
        3 => Point::StoreWrite,
        4 => Point::StoreWritten,
        _ => Point::Before(*chance.pick(&steps).expect("some")),
    }
}

fn faults(chance: &mut Chance, count: u64, processes: u32) -> Vec<PlannedFault> {
    let mut faults = Vec::new();
    for _ in 0..count {
        let place = point(chance);
        let kind = match chance.below(32) {
            0..=3 => FaultKind::Crash(place),
            4 => FaultKind::LostDisk(place),
            5 => FaultKind::Stall(place),
            6..=8 => FaultKind::Zombie(place),
            9 | 10 => FaultKind::LongZombie(place),
            11 => FaultKind::ReplacedZombie(place),
            12 => FaultKind::BackgroundFlush,
            13 | 14 => FaultKind::ClocksForward,
            15 => FaultKind::ClockWrong,
            16 => FaultKind::Roll,
            _ => FaultKind::Network(*chance.pick(&NetworkFault::ALL).expect("some")),
        };
        let process = u32::try_from(chance.below(u64::from(processes))).expect("a few");
        // The first seconds are needed to join and to restore.
        let at_ms = chance.between(1_500, SPAN_MS);
        faults.push(PlannedFault { at_ms, process, kind, detail: chance.number() });
        if chance.one_in(4) {
            // Troubles meet: another one soon after.
            let kind = FaultKind::Network(*chance.pick(&NetworkFault::ALL).expect("some"));
            let at_ms = at_ms + chance.below(300);
            faults.push(PlannedFault { at_ms, process, kind, detail: chance.number() });
        }
    }
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}
