//! How long a contender is gone after `kill -9`, while requests go on coming.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::contender::{Contender, Setup};
use crate::kafka::Positions;
use crate::process::Process;
use crate::recovery::{self, Recovery};

/// Longest wait for it to work off what there is.
const WORK_PATIENCE: Duration = Duration::from_secs(1_800);

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Restart {
    /// Who.
    pub(crate) contender: Contender,
    /// Idempotency keys in the state, about.
    pub(crate) keys: u64,
    /// With its state on disk.
    pub(crate) after_kill: Vec<Recovery>,
    /// With nothing on disk: the state comes from the log.
    pub(crate) empty_machine: Recovery,
}

/// Works off the requests that are there, and is killed and started `times` times.
pub(crate) fn run(
    setup: &Setup,
    contender: Contender,
    keys: u64,
    times: u32,
    seed: u64,
) -> anyhow::Result<Restart> {
    let application = format!("{}-restart", contender.name());
    let (group, input) = contender.stages(&application).swap_remove(0);
    let positions = Positions::open(&setup.bootstrap, &group, input, setup.partitions)?;
    let start = |number: u32| {
        let log = setup.logs.join(format!("{application}-{number}.log"));
        Process::start(contender.title(), &setup.command(contender, &application)?, &log)
    };
    let mut process = start(0)?;
    let began = now();
    while positions.sum()? < i64::try_from(keys)? {
        process.check()?;
        if began.elapsed() > WORK_PATIENCE {
            bail!("{} did not work off {keys} requests within {WORK_PATIENCE:?}", contender.title());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let (after_kill, empty_machine) = recovery::under_load(setup, seed, || -> anyhow::Result<_> {
        let mut after_kill = Vec::new();
        for number in 1..=times {
            recovery::work_for_a_while(&mut process)?;
            process.kill();
            process = start(number)?;
            after_kill.push(Recovery::of(&positions, &mut process, now())?);
        }
        recovery::work_for_a_while(&mut process)?;
        process.kill();
        std::fs::remove_dir_all(setup.state(&application)).context("remove the state")?;
        process = start(times + 1)?;
        let empty = Recovery::of(&positions, &mut process, now())?;
        Ok((after_kill, empty))
    })?;
    process.stop(Duration::from_secs(60))?;
    let _ = std::fs::remove_dir_all(setup.state(&application));
    Ok(Restart { contender, keys, after_kill, empty_machine })
}
