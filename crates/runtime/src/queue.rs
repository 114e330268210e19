//! The records that a worker has polled and not yet decided, per input partition, and which comes next.
//!
//! The next record is the one with the lowest (timestamp, topic, partition, offset) among the heads. In strict
//! order, which makes a whole run reproducible, a partition whose next record is not known yet holds back all
//! others; in arrival order it does not.

use std::collections::{BTreeMap, VecDeque};

use settle_log::{Record, TopicPartition};

/// Whether an empty queue that may still fill holds back the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Wait until every partition has a head or is at its end.
    Strict,
    /// Take what is there.
    Arrival,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Record>,
    at_end: bool,
    paused: bool,
    /// When it was looked at last, nothing could be made of the first record yet.
    waits: bool,
}

impl Queue {
    fn has_work(&self) -> bool {
        !self.records.is_empty() && !self.waits
    }
}

/// The queues of a worker.
#[derive(Debug)]
pub(crate) struct Queues {
    queues: BTreeMap<TopicPartition, Queue>,
    capacity: usize,
}

impl Queues {
    /// Each queue is paused from `capacity` records on.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { queues: BTreeMap::new(), capacity }
    }

    /// Starts a queue: its partition was restored and sought.
    pub(crate) fn open(&mut self, partition: TopicPartition) {
        self.queues.insert(partition, Queue::default());
    }

    /// Drops the queues of a partition number.
    pub(crate) fn close(&mut self, partition: u32) {
        self.queues.retain(|queue, _| queue.partition != partition);
    }

    /// Forgets that ends were reached: more may have been written.
    pub(crate) fn reopen_ends(&mut self) {
        for queue in self.queues.values_mut() {
            queue.at_end = false;
        }
    }

    /// Takes a polled record. One of a partition that is no longer open is dropped.
    pub(crate) fn push(&mut self, record: Record) {
        if let Some(queue) = self.queues.get_mut(&record.topic_partition()) {
            queue.at_end = false;
            queue.records.push_back(record);
        }
    }

    /// Notes that a partition's end was reached.
    pub(crate) fn reached_end(&mut self, partition: &TopicPartition) {
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.at_end = true;
        }
    }

    /// Records that wait, in one queue or in all.
    pub(crate) fn waiting(&self, partition: Option<&TopicPartition>) -> u64 {
        let length = |queue: &Queue| u64::try_from(queue.records.len()).unwrap_or(u64::MAX);
        match partition {
            Some(partition) => self.queues.get(partition).map_or(0, length),
            None => self.queues.values().map(length).sum(),
        }
    }

    /// Queues that are full.
    pub(crate) fn paused(&self) -> u64 {
        self.queues.values().map(|queue| u64::from(queue.paused)).sum()
    }

    /// Partitions to pause and to resume, so that no queue grows without bound.
    pub(crate) fn flow(&mut self) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (partition, queue) in &mut self.queues {
            let is_full = queue.records.len() >= self.capacity;
            let is_low = queue.records.len() <= self.capacity / 2;
            if is_full && !queue.paused {
                queue.paused = true;
                pause.push(partition.clone());
            } else if is_low && queue.paused {
                queue.paused = false;
                resume.push(partition.clone());
            }
        }
        (pause, resume)
    }

    /// True if a poll is needed before the next record is known, or the next one waits.
    pub(crate) fn needs_poll(&self, order: Order) -> bool {
        let is_unknown = |queue: &Queue| queue.waits || (queue.records.is_empty() && !queue.at_end);
        match order {
            Order::Strict => self.queues.values().any(is_unknown),
            Order::Arrival => !self.queues.values().any(Queue::has_work),
        }
    }

    /// True if nothing is left and every end was reached.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.values().all(|queue| queue.records.is_empty() && queue.at_end)
    }

    /// The next records in order, at most `limit`, each with what `make` makes of it. Where that is nothing yet, the record
    /// stays where it is, and its queue gives nothing before the next call.
    pub(crate) fn take<T>(
        &mut self,
        order: Order,
        limit: usize,
        mut make: impl FnMut(&Record) -> Option<T>,
    ) -> Vec<(Record, T)> {
        for queue in self.queues.values_mut() {
            queue.waits = false;
        }
        let waiting = usize::try_from(self.waiting(None)).unwrap_or(usize::MAX);
        let mut taken = Vec::with_capacity(waiting.min(limit));
        // In order of arrival, the queues that have work say all there is to know.
        while taken.len() < limit && (order == Order::Arrival || !self.needs_poll(order)) {
            let heads = self.queues.values_mut().filter(|queue| queue.has_work());
            // Queues are sorted by topic and partition, and min_by_key keeps the first of equals.
            let Some(queue) = heads.min_by_key(|queue| queue.records[0].timestamp_ms) else { break };
            let Some(made) = make(&queue.records[0]) else {
                queue.waits = true;
                continue;
            };
            taken.extend(queue.records.pop_front().map(|record| (record, made)));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, partition: u32, offset: u64, timestamp_ms: i64) -> Record {
        Record {
            topic: topic.into(),
            partition,
            offset,
            timestamp_ms,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn names(taken: &[(Record, ())]) -> Vec<(String, u64)> {
        taken.iter().map(|(record, ())| (record.topic_partition().to_string(), record.offset)).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a record may have to wait")]
    fn all(_: &Record) -> Option<()> {
        Some(())
    }

    #[test]
    fn the_lowest_timestamp_comes_first_then_topic_and_partition() {
        let mut queues = Queues::new(10);
        for partition in
            [TopicPartition::new("a", 0), TopicPartition::new("a", 1), TopicPartition::new("b", 0)]
        {
            queues.open(partition);
        }
        queues.push(record("b", 0, 0, 5));
        queues.push(record("a", 1, 0, 5));
        queues.push(record("a", 0, 0, 7));
        for partition in ["a", "b"] {
            queues.reached_end(&TopicPartition::new(partition, 0));
        }
        let first = names(&queues.take(Order::Strict, 10, all));
        assert_eq!(first, [("a/1".to_owned(), 0)], "a/1 may have more records: nothing after it is known");
        queues.reached_end(&TopicPartition::new("a", 1));
        let rest = names(&queues.take(Order::Strict, 10, all));
        assert_eq!(rest, [("b/0".to_owned(), 0), ("a/0".to_owned(), 0)]);
        assert!(queues.is_idle());
    }

    #[test]
    fn a_full_queue_pauses_and_resumes_at_half() {
        let mut queues = Queues::new(2);
        let partition = TopicPartition::new("a", 0);
        queues.open(partition.clone());
        queues.push(record("a", 0, 0, 1));
        queues.push(record("a", 0, 1, 2));
        assert_eq!(queues.flow(), (vec![partition.clone()], vec![]));
        assert_eq!(queues.take(Order::Arrival, 1, all).len(), 1);
        assert_eq!(queues.flow(), (vec![], vec![partition]));
    }

    #[test]
    fn a_record_that_waits_holds_back_its_own_queue_and_in_strict_order_all() {
        let mut queues = Queues::new(10);
        for partition in [0, 1] {
            queues.open(TopicPartition::new("a", partition));
            queues.push(record("a", partition, 0, i64::from(partition)));
            queues.push(record("a", partition, 1, 5));
        }
        let first_waits = |record: &Record| (record.partition != 0).then_some(());
        assert!(queues.take(Order::Strict, 10, first_waits).is_empty());
        let taken = names(&queues.take(Order::Arrival, 10, first_waits));
        assert_eq!(taken, [("a/1".to_owned(), 0), ("a/1".to_owned(), 1)]);
        assert!(queues.needs_poll(Order::Arrival), "nothing else is left to take");
        assert!(!queues.is_idle());
        let taken = names(&queues.take(Order::Arrival, 10, all));
        assert_eq!(
            taken,
            [("a/0".to_owned(), 0), ("a/0".to_owned(), 1)],
            "it is looked at again, and nothing is lost"
        );
    }
}
