//! Partitions come and go: their stores are opened, restored step by step, read, and given up.

use settle_log::TopicPartition;
use settle_store::{Identity, StateStore};

use super::{Slot, Worker};
use crate::codec::StageCodec;
use crate::error::Error;
use crate::health::Step;
use crate::partition::Partition;
use crate::restore::{Restore, inputs};

impl<S: StageCodec> Worker<S> {
    pub(super) fn assigned(&mut self, numbers: &[u32]) -> Result<(), Error> {
        self.has_joined = true;
        self.monitor.assigned(numbers);
        if numbers.is_empty() {
            return Ok(());
        }
        let journal_identity = self.journal_identity()?;
        for number in numbers {
            self.monitor.enter(Step::OpeningStore);
            let store = self.open_store(*number)?;
            let moment = self.shared.clock.monotonic();
            let partition = Box::new(Partition::new(*number, store, journal_identity.clone(), moment)?);
            self.slots.insert(*number, Slot::Restoring(partition, Restore::begin()));
        }
        Ok(())
    }

    /// What tells the journal from another topic that had its name.
    fn journal_identity(&self) -> Result<String, Error> {
        let found = self.shared.log.topic_settings(&[S::JOURNAL])?.into_iter().next();
        let found = found.ok_or_else(|| settle_log::Error::UnknownTopic { topic: S::JOURNAL.to_owned() })?;
        Ok(found.identity)
    }

    /// Opens a partition's store. One that this build cannot read, or that is damaged, is built again from the
    /// journal, as long as the journal is whole.
    fn open_store(&self, number: u32) -> Result<Box<dyn StateStore<S::Row>>, Error> {
        let folder = self.shared.options.state_directory.join(S::NAME).join(number.to_string());
        let identity =
            Identity { stage: S::NAME, partition: number, fold_version: settle_engine::FOLD_VERSION };
        match settle_store::open(&folder, &self.shared.resources, identity) {
            Err(error) if error.is_cured_by_rebuild() => {
                let journal = TopicPartition::new(S::JOURNAL, number);
                let is_whole = self.shared.log.reader()?.start_offset(&journal)? == 0;
                if !is_whole {
                    return Err(error.into());
                }
                tracing::warn!(%journal, %error, "the store is built again from the journal");
                settle_store::destroy::<S::Row>(&folder, &self.shared.resources)?;
                Ok(settle_store::open(&folder, &self.shared.resources, identity)?)
            }
            opened => Ok(opened?),
        }
    }

    pub(super) fn give_up(&mut self, numbers: &[u32]) -> Result<(), Error> {
        self.monitor.enter(Step::ClosingStore);
        for number in numbers {
            self.queues.close(*number);
            match self.slots.remove(number) {
                Some(Slot::Restoring(partition, _) | Slot::Ready(partition)) => partition.close()?,
                None => {}
            }
        }
        Ok(())
    }

    /// Advances each restore by one bounded step; a partition that is done starts to read.
    pub(super) fn restore_a_step(&mut self) -> Result<(), Error> {
        if !self.has_restores() {
            self.reader = None;
            return Ok(());
        }
        self.monitor.enter(Step::Restoring);
        self.fetch_group_offsets()?;
        for number in self.slots.keys().copied().collect::<Vec<_>>() {
            let Some(Slot::Restoring(partition, restore)) = self.slots.get_mut(&number) else { continue };
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => none.insert(self.shared.log.reader()?),
            };
            let before = partition.journal_next_offset;
            let is_done = restore.advance(&mut **reader, partition)?;
            self.monitor.restore_stepped(
                number,
                partition.journal_next_offset - before,
                restore.remaining(partition),
            );
            if !is_done {
                continue;
            }
            let positions = restore.positions::<S>(&self.group, number, &partition.meta)?;
            self.start_reading(&positions)?;
            if let Some(Slot::Restoring(partition, _)) = self.slots.remove(&number) {
                self.slots.insert(number, Slot::Ready(partition));
            }
            self.monitor.restored(number);
            self.activate(number)?;
        }
        Ok(())
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
