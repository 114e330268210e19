//! Partitions come and go: their stores are opened, restored step by step, read, and given up.

use settle_log::TopicPartition;
use settle_store::{Identity, Store};

use super::{Slot, Worker};
use crate::codec::StageCodec;
use crate::error::Error;
use crate::partition::Partition;
use crate::restore::Restore;

impl<S: StageCodec> Worker<S> {
    pub(super) fn assigned(&mut self, numbers: &[u32]) -> Result<(), Error> {
        for number in numbers {
            let store = self.open_store(*number)?;
            let partition = Box::new(Partition::new(*number, Box::new(store))?);
            let restore = Restore::begin(&*self.shared.log, &self.group, &partition)?;
            self.slots.insert(*number, Slot::Restoring(partition, restore));
        }
        Ok(())
    }

    /// Opens a partition's store. One that this build cannot read, or that is damaged, is built again from the
    /// journal, as long as the journal is whole.
    fn open_store(&self, number: u32) -> Result<Store<S::Row>, Error> {
        let folder = self.shared.options.state_directory.join(S::NAME).join(number.to_string());
        let identity =
            Identity { stage: S::NAME, partition: number, fold_version: settle_engine::FOLD_VERSION };
        match Store::open(&folder, &self.shared.resources, identity) {
            Err(error) if error.is_cured_by_rebuild() => {
                let journal = TopicPartition::new(S::JOURNAL, number);
                let is_whole = self.shared.log.reader()?.start_offset(&journal)? == 0;
                if !is_whole {
                    return Err(error.into());
                }
                tracing::warn!(%journal, %error, "the store is built again from the journal");
                Store::<S::Row>::destroy(&folder)?;
                Ok(Store::open(&folder, &self.shared.resources, identity)?)
            }
            opened => Ok(opened?),
        }
    }

    pub(super) fn give_up(&mut self, numbers: &[u32]) -> Result<(), Error> {
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
            return Ok(());
        }
        for number in self.slots.keys().copied().collect::<Vec<_>>() {
            let Some(Slot::Restoring(partition, restore)) = self.slots.get_mut(&number) else { continue };
            if !restore.step(partition, &self.shared.stats)? {
                continue;
            }
            let positions = restore.positions::<S>(&self.group, number, &partition.meta)?;
            self.start_reading(&positions)?;
            if let Some(Slot::Restoring(partition, _)) = self.slots.remove(&number) {
                self.slots.insert(number, Slot::Ready(partition));
            }
            self.activate(number)?;
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
