//! A start of a process: its workers, and how they are driven.

use std::path::PathBuf;
use std::sync::Arc;

use settle_runtime::simulation::SimulatedWorker;
use settle_runtime::{Error, StageCodec};

use crate::clock::ProcessClock;
use crate::plan::Point;

/// A worker of either stage.
pub(crate) trait Turn {
    fn turn(&mut self) -> Result<(), Error>;
    fn stop(self: Box<Self>) -> Result<(), Error>;
}

impl<S: StageCodec> Turn for SimulatedWorker<S> {
    fn turn(&mut self) -> Result<(), Error> {
        SimulatedWorker::turn(self)
    }

    fn stop(self: Box<Self>) -> Result<(), Error> {
        SimulatedWorker::stop(*self)
    }
}

/// The workers of a process, by stage; none where there is nothing to say about one.
pub(crate) type Workers = [Option<Box<dyn Turn + Send>>; 2];

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// It stands still until then. In a call: whoever stopped it there wakes it.
    Suspended {
        until_ms: u64,
        is_in_call: bool,
    },
    /// It is gone, or goes as soon as its calls return.
    Gone,
}

/// Something that is to happen to a process at a point of its work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambush {
    pub(crate) point: Point,
    pub(crate) blow: Blow,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    Crash { loses_disk: bool },
    Stall { for_ms: u64, is_replaced: bool },
}

/// One start of a process.
pub(crate) struct Incarnation {
    pub(crate) handle: u64,
    pub(crate) ordinal: u32,
    pub(crate) directory: PathBuf,
    pub(crate) status: Status,
    /// By stage; none while it has its turn, and when it has ended.
    pub(crate) workers: Workers,
    pub(crate) next_turn_ms: [u64; 2],
    /// Calls that are under way.
    pub(crate) busy: u32,
    pub(crate) clock: Arc<ProcessClock>,
    pub(crate) ambushes: Vec<Ambush>,
    /// Another process has its place.
    pub(crate) is_replaced: bool,
    /// What was left behind was taken care of.
    pub(crate) is_buried: bool,
    pub(crate) loses_disk: bool,
}

/// What unwinds a call of a process that was killed. It is no panic: no hook is called.
pub(crate) struct Killed;
