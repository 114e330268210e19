//! What must hold in every state of the model, in the words of docs/architecture.md; and states that a search has to
//! come by, or it would prove nothing.

use stateright::{Model, Property};

use crate::cluster::{Entry, Event, Record, Request, Target};
use crate::pipeline::{Pipeline, World};
use crate::worker::{Phase, Restore, State, Store};

/// All properties.
pub fn all() -> Vec<Property<Pipeline>> {
    vec![
        Property::always(
            "I1: a store is the fold of the committed journal before its offset",
            |_, world: &World| {
                world.workers.iter().all(|worker| {
                    is_fold_of_journal(world, worker.store) && is_fold_of_journal(world, worker.flushed)
                })
            },
        ),
        Property::always(
            "I2: the committed decisions are one for each record, in order",
            |_, world: &World| decisions(world).eq(0..decisions_committed(world)),
        ),
        Property::always(
            "I4: the group's offset is not beyond the committed decisions",
            |_, world: &World| world.cluster.group.committed.unwrap_or(0) <= decisions_committed(world),
        ),
        Property::always(
            "I5: an owner that may write has everything that was committed",
            |_, world: &World| {
                world.workers.iter().all(|worker| {
                    let is_owner = worker.owned_in == Some(world.cluster.group.generation);
                    let may_write = is_owner && worker.phase == Phase::Ready;
                    !may_write || fold(world, usize::MAX) == Some(worker.store.state)
                })
            },
        ),
        Property::always("I11: the sequence of the committed journal is dense", |_, world: &World| {
            fold(world, usize::MAX).is_some()
        }),
        Property::always("the committed output is that of the committed journal", |_, world: &World| {
            let output = world.cluster.decided(Target::Output).map(|(_, record)| record);
            world.cluster.decided(Target::Journal).map(|(_, record)| record).eq(output)
        }),
        Property::always("no worker stops with an error", |_, world: &World| {
            !world.workers.iter().any(|worker| matches!(worker.phase, Phase::Stopped(_)))
        }),
        Property::always("a history that ends has decided everything", |model: &Pipeline, world: &World| {
            is_everything_decided(model, world) || has_next(model, world)
        }),
        Property::sometimes("everything is decided", is_everything_decided),
        Property::sometimes("a restore waits for a marker", |_, world: &World| {
            world.workers.iter().any(|worker| {
                matches!(worker.phase, Phase::Restoring(Restore { end: Some(end), .. })
                    if worker.store.journal_next < end
                        && world.cluster.stable_end() <= worker.store.journal_next)
            })
        }),
        Property::sometimes("a zombie's records stand open behind those of the owner", |_, world: &World| {
            is_zombie_behind_owner(world)
        }),
        Property::sometimes(
            "a delayed end of a transaction arrives beside the producer that replaces its sender",
            |_, world: &World| {
                world.late.iter().any(|message| {
                    let is_end = matches!(message.request, Request::End { is_commit: true });
                    is_end && matches!(world.workers[message.producer].phase, Phase::Init(_))
                })
            },
        ),
    ]
}

fn decisions(world: &World) -> impl Iterator<Item = u8> {
    world.cluster.decided(Target::Journal).filter_map(|(_, record)| match record.event {
        Event::Decision(offset) => Some(offset),
        Event::Timer => None,
    })
}

fn decisions_committed(world: &World) -> u8 {
    u8::try_from(decisions(world).count()).unwrap_or(u8::MAX)
}

/// The state that the committed journal before an offset makes; none if its events do not follow each other.
fn fold(world: &World, before: usize) -> Option<State> {
    let mut records = world.cluster.decided(Target::Journal).filter(|(offset, _)| *offset < before);
    records.try_fold(State::default(), |state, (_, record)| state.fold(record))
}

fn is_fold_of_journal(world: &World, store: Store) -> bool {
    fold(world, store.journal_next) == Some(store.state)
}

fn is_everything_decided(model: &Pipeline, world: &World) -> bool {
    let is_timer = |record: Record| record.event == Event::Timer;
    let timers = world.cluster.decided(Target::Journal).filter(|(_, record)| is_timer(*record)).count();
    decisions_committed(world) == model.records && timers == 1
}

fn has_next(model: &Pipeline, world: &World) -> bool {
    let mut actions = Vec::new();
    model.actions(world, &mut actions);
    actions.into_iter().any(|action| model.next_state(world, action).is_some())
}

fn is_zombie_behind_owner(world: &World) -> bool {
    let generation = world.cluster.group.generation;
    let is_of_zombie = |entry: &Entry| match entry {
        Entry::Open { producer, .. } => {
            world.workers[*producer].owned_in.is_some_and(|own| own != generation)
        }
        _ => false,
    };
    let zombie = world.cluster.journal.iter().rposition(is_of_zombie);
    let owners = world.cluster.journal.iter().position(
        |entry| matches!(entry, Entry::Open { producer, .. } if world.workers[*producer].owned_in == Some(generation)),
    );
    zombie.zip(owners).is_some_and(|(zombie, owners)| zombie > owners)
}
