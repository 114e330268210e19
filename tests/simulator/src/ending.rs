//! A whole run: the plan, the quiet after it, and what must hold when all is done: everything is decided, an independent
//! audit of the topics finds nothing, the journals give the stores again, and a damaged journal stops a restore.

use std::collections::BTreeMap;
use std::path::Path;

use settle_engine::authorize::{Authorize, AuthorizeRow};
use settle_engine::settle::{Settle, SettleRow};
use settle_engine::{FOLD_VERSION, Stage, StateKey, StateRow};
use settle_log::TopicPartition;
use settle_store::{Identity, Progress};
use settle_test_services::audit;
use settle_types::authorize::DecisionEvent;
use settle_types::settle::SettlementEvent;
use settle_types::{Timestamp, topic};

use crate::plan::{Damage, Point};
use crate::process::{Blow, Status};
use crate::run::Outcome;
use crate::world::{DAMAGE_CODES, World};

/// Virtual time that the pipeline may take to decide everything once nothing goes wrong any more.
const QUIET_MS: u64 = 180_000;
/// Virtual time in which a fresh process gets and restores every partition.
const RESTORE_MS: u64 = 20_000;

/// Plays the plan, then judges what is there.
pub(crate) fn play(world: &World) {
    world.run_until(world.plan.end_ms());
    ensure_a_fault(world);
    world.cluster.disarm();
    for incarnation in &mut world.lock().incarnations {
        incarnation.ambushes.clear();
        incarnation.clock.set_error(0);
    }
    if !come_to_rest(world) {
        return;
    }
    world.clock.freeze();
    world.run_until(world.now_ms() + 1_000 + 3 * world.plan.commit_interval_ms);
    if !come_to_rest(world) {
        return;
    }
    world.stop_all();
    world.run_until(world.now_ms() + 100);
    if !world.lock().checker.violations.is_empty() {
        return;
    }
    is_worth_something(world);
    audit_topics(world);
    restore_from_nothing(world);
    if let Some(damage) = world.plan.damage {
        damage_a_journal(world, damage);
    }
}

/// A run in which nothing went wrong proves nothing: where the plan found no occasion, a process is killed.
fn ensure_a_fault(world: &World) {
    let has_fired = !world.lock().fired.is_empty() || !world.cluster.fired().is_empty();
    if !has_fired && !world.plan.faults.is_empty() {
        world.ambush(0, Point::Any(5), Blow::Crash { loses_disk: false });
        world.run_until(world.now_ms() + 3_000);
    }
}

/// Waits until everything is decided and every process runs.
fn come_to_rest(world: &World) -> bool {
    let deadline_ms = world.now_ms() + QUIET_MS;
    loop {
        world.run_until(world.now_ms() + 300);
        let undecided = {
            let state = world.lock();
            if !state.checker.violations.is_empty() {
                return false;
            }
            let is_running = |ordinal: u32| {
                state.incarnations.iter().any(|incarnation| {
                    incarnation.ordinal == ordinal
                        && incarnation.status == Status::Running
                        && incarnation.workers.iter().all(Option::is_some)
                })
            };
            let is_complete = (0..world.plan.processes).all(is_running) && state.starts.is_empty();
            let undecided = state.checker.undecided();
            if is_complete && undecided == 0 && world.cluster.is_settled() {
                return true;
            }
            undecided
        };
        if world.now_ms() > deadline_ms {
            world.violation(format!(
                "liveness: {undecided} records are undecided {QUIET_MS} ms after the last fault, settled: {}",
                world.cluster.is_settled()
            ));
            return false;
        }
    }
}

fn is_worth_something(world: &World) {
    let mut state = world.lock();
    let has_requests = !world.plan.requests.is_empty();
    if has_requests && state.checker.events < u64::from(world.plan.partitions) {
        state.checker.violations.push("nothing was decided: the run proves nothing".to_owned());
    }
    let has_fired = !state.fired.is_empty() || !world.cluster.fired().is_empty();
    if !has_fired && !world.plan.faults.is_empty() {
        state.checker.violations.push("no fault fired: the run proves nothing".to_owned());
    }
}

/// What an independent judge says, who shares no code with the program.
fn audit_topics(world: &World) {
    let mut read = audit::Read::default();
    for name in audit::TOPICS {
        let partitions = read.topics.entry(name.to_owned()).or_default();
        for number in 0..world.plan.partitions {
            let place = TopicPartition::new(name, number);
            let records = world.cluster.committed_records(&place, 0);
            let records = records.into_iter().map(|record| audit::Record {
                offset: i64::try_from(record.offset).unwrap_or(i64::MAX),
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(|key| key.to_vec().into()),
                value: record.value.map(|value| value.to_vec().into()),
                headers: record
                    .headers
                    .into_iter()
                    .map(|header| (header.name.to_string(), header.value.to_vec().into()))
                    .collect(),
            });
            let end = i64::try_from(world.cluster.end(&place)).unwrap_or(i64::MAX);
            let content = audit::Partition { start: 0, end, records: records.collect() };
            partitions.insert(i32::try_from(number).unwrap_or(i32::MAX), content);
        }
    }
    for violation in audit::check(&read).into_iter().take(5) {
        world.violation(format!("audit: {violation}"));
    }
}

/// The rows of a store, and how far it is.
type Contents = (Progress, Vec<(StateKey, Vec<u8>)>);

fn contents<R: StateRow>(
    world: &World,
    directory: &Path,
    stage: &'static str,
    number: u32,
) -> Option<Contents> {
    let folder = directory.join(stage).join(number.to_string());
    let identity = Identity { stage, partition: number, fold_version: FOLD_VERSION };
    let store = world.open_store::<R>(&folder, identity)?;
    let progress = store.progress()?.clone();
    // Rows that expired, and may have been collected in one store and not in another, are in none.
    let rows: Result<Vec<_>, _> = store.dump(Timestamp::MIN).collect();
    match rows {
        Ok(rows) => Some((progress, rows)),
        Err(error) => {
            world.violation(format!("{}: {error}", folder.display()));
            None
        }
    }
}

/// I10: a process that has nothing restores from the journals what the stores hold, however they came to it.
fn restore_from_nothing(world: &World) {
    let mut directories: Vec<_> =
        world.lock().incarnations.iter().map(|incarnation| incarnation.directory.clone()).collect();
    directories.sort();
    directories.dedup();
    let sequences = |stage| world.lock().checker.next_sequences(stage);
    let before = (sequences(Authorize::NAME), sequences(Settle::NAME));
    world.start(0, Some("fresh".to_owned()));
    world.run_until(world.now_ms() + RESTORE_MS);
    world.stop_all();
    if !world.lock().checker.violations.is_empty() {
        return;
    }
    compare::<Authorize>(world, &directories, &before.0);
    compare::<Settle>(world, &directories, &before.1);
}

/// `before` has the next sequence of each journal as the other processes left it.
fn compare<S: Stage>(world: &World, directories: &[std::path::PathBuf], before: &[i64]) {
    let fresh = world.root.join("fresh");
    let next_sequences = world.lock().checker.next_sequences(S::NAME);
    for ((number, next_sequence), before) in (0..).zip(next_sequences).zip(before) {
        let Some(expected) = contents::<S::Row>(world, &fresh, S::NAME, number) else {
            world.violation(format!("I10: {} {number} was not restored by a fresh process", S::NAME));
            continue;
        };
        if expected.0.meta.next_sequence != next_sequence {
            let found = expected.0.meta.next_sequence;
            world.violation(format!(
                "I10: {} {number}: a fresh process is at {found}, the journal at {next_sequence}",
                S::NAME
            ));
        }
        let mut compared = 0;
        for directory in directories {
            let Some(found) = contents::<S::Row>(world, directory, S::NAME, number) else { continue };
            if found.0.meta.next_sequence != next_sequence {
                // An older state, of a process that had the partition before.
                continue;
            }
            compared += 1;
            if found.0.meta != expected.0.meta || found.1 != expected.1 {
                let place = directory.display();
                world.violation(format!("I10: the store {} {number} of {place} is not its journal", S::NAME));
            }
        }
        // Time went on while it restored: what a timer set off then nobody else has.
        if compared == 0 && next_sequence == *before {
            world.violation(format!("I10: no process has the state of {} {number}", S::NAME));
        }
    }
}

/// A restore must stop with a coded error where the journal is not what was written.
fn damage_a_journal(world: &World, damage: Damage) {
    if !world.lock().checker.violations.is_empty() {
        return;
    }
    let mut chance = settle_log::simulated::Chance::new(world.plan.seed, 7);
    let journals = [topic::DECIDED, topic::SETTLEMENT_EVENTS];
    let name = *chance.pick(&journals).expect("two");
    let number = u32::try_from(chance.below(u64::from(world.plan.partitions))).unwrap_or(0);
    let place = TopicPartition::new(name, number);
    let records = world.cluster.committed_records(&place, 0);
    let (Some(record), Some(other)) = (chance.pick(&records).cloned(), chance.pick(&records).cloned()) else {
        return;
    };
    let value = record.value.clone().unwrap_or_default().to_vec();
    let (kind, is_done) = match damage {
        Damage::CutShort => {
            let length = chance.index(value.len());
            ("JournalDamaged", world.cluster.damage(&place, record.offset, value[..length].to_vec()))
        }
        Damage::Garbage => {
            let bytes = (0..value.len()).map(|_| chance.number().to_le_bytes()[0]).collect();
            ("JournalDamaged", world.cluster.damage(&place, record.offset, bytes))
        }
        Damage::Copied if other.offset != record.offset => {
            let bytes = other.value.unwrap_or_default().to_vec();
            ("JournalDamaged", world.cluster.damage(&place, record.offset, bytes))
        }
        Damage::Newer => {
            let newer = newer(name, &value).unwrap_or_default();
            ("JournalDamaged", world.cluster.damage(&place, record.offset, newer))
        }
        Damage::Copied | Damage::Foreign => {
            let topic = name.into();
            let foreign = settle_log::OutputRecord {
                topic: &topic,
                partition: number,
                timestamp_ms: 0,
                key: None,
                value: Some(&value),
                headers: &[],
            };
            ("JournalForeign", world.cluster.append(&foreign).is_ok())
        }
    };
    if !is_done {
        return;
    }
    let sequences = world.lock().checker.next_sequences(Authorize::NAME);
    world.lock().is_journal_damaged = true;
    *world.lock().fired.entry(kind.to_owned()).or_default() += 1;
    let count = |world: &World| {
        let state = world.lock();
        DAMAGE_CODES.iter().filter_map(|code| state.ends.get(*code)).sum::<u64>()
    };
    let before = count(world);
    world.start(0, Some("after-damage".to_owned()));
    world.run_until(world.now_ms() + RESTORE_MS);
    if count(world) == before {
        let detail = format!("{damage:?} at {place}@{}", record.offset);
        world.violation(format!("a restore got over a damaged journal: {detail}"));
    }
    if name == topic::DECIDED && world.lock().checker.next_sequences(Authorize::NAME) != sequences {
        world.violation("decisions were made on a damaged journal");
    }
    world.stop_all();
}

/// The event, as one of a program that does not exist yet.
fn newer(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let mut newer = Vec::new();
    if name == topic::DECIDED {
        let mut event: DecisionEvent = settle_schema::decode(value).ok()?;
        event.min_fold_version = FOLD_VERSION + 1;
        settle_schema::encode(&event, &mut newer);
    } else {
        let mut event: SettlementEvent = settle_schema::decode(value).ok()?;
        event.min_fold_version = FOLD_VERSION + 1;
        settle_schema::encode(&event, &mut newer);
    }
    Some(newer)
}

/// What came of it.
pub(crate) fn outcome(world: &World) -> Outcome {
    let mut hasher = blake3::Hasher::new();
    world.cluster.visit(&mut |record, fate| {
        hasher.update(format!("{}/{}@{} {fate} ", record.topic, record.partition, record.offset).as_bytes());
        for bytes in [&record.key, &record.value] {
            let bytes = bytes.as_deref().unwrap_or_default();
            hasher.update(&u64::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
            hasher.update(bytes);
        }
    });
    let transitions: BTreeMap<String, u64> =
        world.cluster.transitions().into_iter().map(|(what, count)| (what.to_owned(), count)).collect();
    let fired: BTreeMap<String, u64> = {
        let mut fired = world.lock().fired.clone();
        fired.extend(world.cluster.fired().into_iter().map(|(fault, count)| (format!("{fault:?}"), count)));
        fired
    };
    let directories: std::collections::BTreeSet<_> =
        world.lock().incarnations.iter().map(|incarnation| incarnation.directory.clone()).collect();
    let is_whole = world.lock().checker.violations.is_empty();
    for directory in directories.into_iter().filter(|_| is_whole) {
        for number in 0..world.plan.partitions {
            for (name, found) in [
                (Authorize::NAME, contents::<AuthorizeRow>(world, &directory, Authorize::NAME, number)),
                (Settle::NAME, contents::<SettleRow>(world, &directory, Settle::NAME, number)),
            ] {
                let Some((progress, rows)) = found else { continue };
                hasher.update(format!("{name} {number} {progress:?}").as_bytes());
                for (key, value) in rows {
                    hasher.update(key.as_bytes());
                    hasher.update(&value);
                }
            }
        }
    }
    let millis = world.now_ms();
    let state = world.lock();
    hasher.update(format!("{transitions:?} {fired:?} {:?} {}", state.ends, state.turns).as_bytes());
    Outcome {
        violations: state.checker.violations.clone(),
        hash: hasher.finalize().to_hex().to_string(),
        fired,
        transitions,
        reached: state.checker.reached.clone(),
        ends: state.ends.clone(),
        transactions: state.checker.transactions,
        events: state.checker.events,
        turns: state.turns,
        steps: state.steps,
        millis,
    }
}
