//! What a worker does beside deciding: it reports, flushes stores and makes snapshots, each when its time has come.

use std::time::Duration;

use super::{Slot, Worker, ready};
use crate::codec::StageCodec;
use crate::error::Error;

/// Time between two reports to metrics.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

impl<S: StageCodec> Worker<S> {
    pub(super) fn upkeep(&mut self) -> Result<(), Error> {
        self.flush_old_memtables()?;
        self.make_snapshot()?;
        self.report()
    }

    /// Tells metrics how far behind the worker is and how large its stores are, now and then.
    fn report(&mut self) -> Result<(), Error> {
        let moment = self.shared.clock.monotonic();
        if moment.saturating_duration_since(self.reported_at) < REPORT_INTERVAL {
            return Ok(());
        }
        self.reported_at = moment;
        self.monitor.queued(self.queues.waiting(None), self.queues.paused());
        for (input, undelivered) in self.consumer.backlog() {
            let lag = undelivered + self.queues.waiting(Some(&input));
            self.monitor.lag(&input.topic, input.partition, lag);
        }
        for (number, slot) in &self.slots {
            if let Slot::Ready(partition) = slot {
                let (size_bytes, unflushed_bytes) = partition.store_bytes()?;
                self.monitor.stored(*number, size_bytes, unflushed_bytes);
            }
        }
        Ok(())
    }

    fn flush_old_memtables(&mut self) -> Result<(), Error> {
        let interval = self.shared.options.flush_interval;
        let moment = self.shared.clock.monotonic();
        for slot in self.slots.values_mut() {
            if let Slot::Ready(partition) = slot {
                partition.flush_after(interval, moment)?;
            }
        }
        Ok(())
    }

    /// Makes a checkpoint of the partition that has waited longest for a snapshot, and has it sent. What
    /// is in the store is committed (I1), whatever is open.
    fn make_snapshot(&mut self) -> Result<(), Error> {
        let Some(snapshots) = self.shared.snapshots.clone() else { return Ok(()) };
        let owned = self.ready_numbers();
        let began = self.shared.clock.monotonic();
        let Some(number) = self.snapshot_schedule.most_overdue(&owned, snapshots.interval(), began) else {
            return Ok(());
        };
        let Some(permit) = snapshots.permit() else { return Ok(()) };
        let now = self.shared.clock.now();
        self.snapshot_schedule.begin(number, began);
        let partition = ready(&mut self.slots, number);
        if snapshots.has(S::NAME, number, partition.stored_next_offset()) {
            return Ok(());
        }
        if let Some(checkpoint) = partition.checkpoint(&permit.folder(), now)? {
            permit.send(S::NAME, number, checkpoint, began);
        }
        Ok(())
    }
}
