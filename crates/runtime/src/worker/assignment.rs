//! Partitions come and go: their stores are opened, restored step by step, read, and given up.

use settle_log::TopicPartition;

use super::{Slot, Worker};
use crate::codec::StageCodec;
use crate::error::Error;
use crate::health::Step;
use crate::opening::{Opening, journal_identity};
use crate::restore::{Restore, STEP_RECORDS, inputs};

impl<S: StageCodec> Worker<S> {
    pub(super) fn assigned(&mut self, numbers: &[u32]) -> Result<(), Error> {
        self.has_joined = true;
        self.monitor.assigned(numbers);
        if numbers.is_empty() {
            return Ok(());
        }
        let journal_identity = journal_identity::<S>(&self.shared)?;
        for number in numbers {
            let warm = self.standby.as_ref().and_then(|standby| standby.take(*number));
            let slot = match warm {
                Some(partition) => Slot::Restoring(partition, Restore::begin()),
                None => Slot::Opening(Opening::begin::<S>(&self.shared, *number, journal_identity.clone())),
            };
            self.slots.insert(*number, slot);
        }
        Ok(())
    }

    /// Opens what can be opened; a snapshot may be on its way.
    fn open_stores(&mut self) -> Result<(), Error> {
        if !self.has_openings() {
            return Ok(());
        }
        self.monitor.enter(Step::OpeningStore);
        for slot in self.slots.values_mut() {
            if let Slot::Opening(opening) = slot
                && let Some(partition) = opening.poll(&self.shared, &mut self.reader)?
            {
                *slot = Slot::Restoring(partition, Restore::begin());
            }
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self, numbers: &[u32]) -> Result<(), Error> {
        self.monitor.enter(Step::ClosingStore);
        for number in numbers {
            self.queues.close(*number);
            let partition = match self.slots.remove(number) {
                Some(Slot::Restoring(partition, _) | Slot::Ready(partition)) => Some(partition),
                Some(Slot::Opening(_)) | None => None,
            };
            match (&self.standby, partition) {
                (Some(standby), Some(mut partition)) => {
                    // What was not committed is not part of it.
                    partition.roll_back()?;
                    standby.give_back(*number, Some(partition));
                }
                (Some(standby), None) => standby.give_back(*number, None),
                (None, Some(partition)) => partition.close()?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Advances restores by one bounded step, the nearest to its end first: partitions decide again one after the other, not all
    /// of them at the end. A partition that is done starts to read.
    pub(super) fn restore_a_step(&mut self) -> Result<(), Error> {
        self.open_stores()?;
        if !self.has_restores() {
            self.reader = None;
            return Ok(());
        }
        self.monitor.enter(Step::Restoring);
        self.fetch_group_offsets()?;
        self.is_restore_waiting = true;
        let mut folded = 0;
        for number in self.nearest_restores() {
            let Some(Slot::Restoring(partition, restore)) = self.slots.get_mut(&number) else { continue };
            let reader = self.shared.reader(&mut self.reader)?;
            let before = partition.journal_next_offset;
            let is_done = restore.advance(reader, partition, &mut self.schemas)?;
            let advanced = partition.journal_next_offset - before;
            folded += advanced;
            self.is_restore_waiting &= advanced == 0 && !is_done;
            self.monitor.restore_stepped(number, advanced, restore.remaining(partition));
            if is_done {
                self.begin_to_decide(number)?;
            }
            // The others come next when this one is done, or waits for its records.
            if folded >= u64::from(STEP_RECORDS) || (advanced > 0 && !is_done) {
                break;
            }
        }
        Ok(())
    }

    /// Restores in the order in which they advance.
    fn nearest_restores(&self) -> Vec<u32> {
        let remaining = |(number, slot): (&u32, &Slot<S>)| match slot {
            Slot::Restoring(partition, restore) => Some((restore.remaining(partition), *number)),
            Slot::Opening(_) | Slot::Ready(_) => None,
        };
        let mut restores: Vec<(u64, u32)> = self.slots.iter().filter_map(remaining).collect();
        restores.sort_unstable();
        restores.into_iter().map(|(_, number)| number).collect()
    }

    /// The restore of this partition has reached the journal's end.
    fn begin_to_decide(&mut self, number: u32) -> Result<(), Error> {
        let Some(Slot::Restoring(partition, restore)) = self.slots.get(&number) else { return Ok(()) };
        let positions = restore.positions::<S>(&self.group, number, &partition.meta)?;
        self.start_reading(&positions)?;
        if let Some(Slot::Restoring(partition, _)) = self.slots.remove(&number) {
            self.slots.insert(number, Slot::Ready(partition));
        }
        self.monitor.restored(number);
        self.activate(number)
    }

    /// Step (a) of all restores that need it, with one question.
    fn fetch_group_offsets(&mut self) -> Result<(), Error> {
        let needs_offsets =
            |slot: &Slot<S>| matches!(slot, Slot::Restoring(_, restore) if restore.needs_offsets());
        let waiting = self.slots.iter().filter(|(_, slot)| needs_offsets(slot));
        let inputs: Vec<TopicPartition> = waiting.flat_map(|(number, _)| inputs::<S>(*number)).collect();
        if inputs.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "mutations")]
        self.ends_too_early()?;
        // None: a transaction is open that may still change them.
        let Some(committed) = self.consumer.committed_offsets(&inputs)? else { return Ok(()) };
        for slot in self.slots.values_mut() {
            if let Slot::Restoring(_, restore) = slot
                && restore.needs_offsets()
            {
                restore.take_offsets(&committed);
            }
        }
        Ok(())
    }

    fn start_reading(&mut self, positions: &[(TopicPartition, u64)]) -> Result<(), Error> {
        for (input, next_offset) in positions {
            self.consumer.seek(input, *next_offset)?;
            self.queues.open(input.clone());
            // A queue that was full when its partition started over had paused it.
            self.consumer.resume(std::slice::from_ref(input));
        }
        Ok(())
    }

    fn activate(&mut self, number: u32) -> Result<(), Error> {
        let wall = self.shared.clock.now();
        let activation = self.activation.clone();
        let events = self.ready(number).activate(&activation, wall)?;
        self.produce(number, &events, None, &[])
    }
}

#[cfg(feature = "mutations")]
impl<S: StageCodec> Worker<S> {
    /// The journals' ends, before the group's offsets are known.
    fn ends_too_early(&mut self) -> Result<(), Error> {
        use crate::mutations::{Mutation, is};
        if !is(Mutation::EndBeforeOffsets) {
            return Ok(());
        }
        let mut reader = self.shared.log.reader()?;
        for slot in self.slots.values_mut() {
            if let Slot::Restoring(partition, restore) = slot {
                restore.take_end_too_early(reader.end_offset(&partition.journal)?);
            }
        }
        Ok(())
    }
}
