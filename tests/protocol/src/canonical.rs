//! One form for all worlds that behave alike, so that a search meets each of them once.
//!
//! Owns what can be left out of a world without changing what may follow: numbers that only matter by comparison,
//! requests that no broker will ever hear, and offsets between which nobody stands.

use crate::cluster::{Entry, PRODUCERS, Request};
use crate::pipeline::World;
use crate::worker::Phase;

/// Where epochs and generations are counted from.
const PRESENT: u8 = 100;

/// Brings a world into its form.
pub(crate) fn normalize(world: &mut World) {
    forget_past_generations(world);
    forget_past_epochs(world);
    tidy_output(world);
    close_gaps(world);
}

/// Only the present generation is heard; which of the older ones a worker knows makes no difference.
fn forget_past_generations(world: &mut World) {
    let present = world.cluster.group.generation;
    world.late.retain(|message| {
        !matches!(message.request, Request::Offsets { generation: Some(generation), .. } if generation != present)
    });
    let renumbered = |generation: u8| if generation == present { PRESENT } else { PRESENT - 1 };
    for message in &mut world.late {
        if let Request::Offsets { generation: Some(generation), .. } = &mut message.request {
            *generation = renumbered(*generation);
        }
    }
    for worker in &mut world.workers {
        worker.owned_in = worker.owned_in.map(renumbered);
    }
    world.cluster.group.generation = PRESENT;
}

/// Only the present epoch of a producer is heard, and it never comes again once a newer one has begun.
fn forget_past_epochs(world: &mut World) {
    for producer in 0..PRODUCERS {
        let present = world.cluster.coordinators[producer].epoch;
        world.late.retain(|message| message.producer != producer || message.epoch == present);
        let renumbered = |epoch: u8| PRESENT - (present - epoch);
        world.workers[producer].epoch = renumbered(world.workers[producer].epoch);
        for entry in world.cluster.journal.iter_mut().chain(&mut world.cluster.output) {
            if let Entry::Open { producer: who, epoch, .. } = entry
                && *who == producer
            {
                *epoch = renumbered(*epoch);
            }
        }
        for message in world.late.iter_mut().filter(|message| message.producer == producer) {
            message.epoch = PRESENT;
        }
        world.cluster.coordinators[producer].epoch = PRESENT;
    }
}

/// Nobody reads the output: how open records of two producers lie there makes no difference.
fn tidy_output(world: &mut World) {
    let output = &mut world.cluster.output;
    output.retain(|entry| *entry != Entry::Void);
    output.sort_by_key(|entry| match entry {
        Entry::Open { producer, .. } => producer + 1,
        Entry::Committed(_) | Entry::Void => 0,
    });
}

/// Takes out the offsets of the journal that every reader passes over and at which nobody stands.
fn close_gaps(world: &mut World) {
    let mut offset = 0;
    while offset < world.cluster.journal.len() {
        let is_passed_over = world.cluster.journal[offset] == Entry::Void;
        if is_passed_over && !places(world).any(|place| *place == offset) {
            for place in places(world).filter(|place| **place > offset) {
                *place -= 1;
            }
            world.cluster.journal.remove(offset);
        } else {
            offset += 1;
        }
    }
}

/// Every offset of the journal that somebody remembers.
fn places(world: &mut World) -> impl Iterator<Item = &mut usize> {
    world.workers.iter_mut().flat_map(|worker| {
        let of_phase = match &mut worker.phase {
            Phase::Restoring(restore) => restore.end.as_mut(),
            Phase::Writing(draft) => Some(&mut draft.journal_next),
            _ => None,
        };
        of_phase.into_iter().chain([&mut worker.store.journal_next, &mut worker.flushed.journal_next])
    })
}
