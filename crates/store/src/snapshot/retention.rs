//! Which snapshots are kept.
//!
//! Owns rule 3 of the module above. It decides on names and times alone and does nothing.

use std::collections::BTreeMap;

use object_store::path::Path as ObjectPath;
use settle_types::Timestamp;

use super::before;
use super::manifest::ManifestName;
use super::options::SnapshotOptions;

/// A snapshot that is in the repository, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// Offset of the next journal record to fold.
    pub journal_next_offset: u64,
    /// Version of the fold that built the state.
    pub fold_version: i32,
    /// When it was written, by the clock of the object store.
    pub written_at: Timestamp,
}

impl KeptSnapshot {
    pub(super) fn of(name: &ManifestName) -> Self {
        Self {
            journal_next_offset: name.journal_next_offset,
            fold_version: name.fold_version,
            written_at: name.written_at,
        }
    }
}

/// Manifests to keep and to remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) kept: Vec<ManifestName>,
    pub(super) expired: Vec<ManifestName>,
}

/// The highest offset first; of several at one offset, the one that was written last.
pub(super) fn sort_newest_first(names: &mut [ManifestName]) {
    names.sort_unstable_by(|left, right| {
        let order = |name: &ManifestName| (name.journal_next_offset, name.written_at);
        order(right).cmp(&order(left)).then_with(|| right.path.cmp(&left.path))
    });
}

/// Tells the manifests of all partitions apart. Damaged ones must not be among them: they would push good ones
/// out.
pub(super) fn sort_out(names: Vec<ManifestName>, now: Timestamp, options: &SnapshotOptions) -> Sorted {
    let mut lines: Vec<Vec<ManifestName>> = Vec::new();
    for name in names {
        match lines.iter_mut().find(|line| line[0].is_in_line_with(&name)) {
            Some(line) => line.push(name),
            None => lines.push(vec![name]),
        }
    }
    let last_of_partition = last_written(&lines);
    let mut sorted = Sorted::default();
    for mut line in lines {
        let last = line.iter().map(|name| name.written_at).max().unwrap_or(Timestamp::MIN);
        let has_gone_on_elsewhere =
            line[0].partition().and_then(|partition| last_of_partition.get(&partition)) > Some(&last);
        if has_gone_on_elsewhere && last < before(now, options.superseded) {
            sorted.expired.append(&mut line);
            continue;
        }
        sort_newest_first(&mut line);
        let mut newer_and_settled = 0;
        for name in line {
            let is_settled = name.written_at < before(now, options.grace);
            if newer_and_settled >= options.keep {
                sorted.expired.push(name);
            } else {
                sorted.kept.push(name);
            }
            newer_and_settled += usize::from(is_settled);
        }
    }
    sorted
}

/// When the last manifest of each partition was written, whatever its line.
fn last_written(lines: &[Vec<ManifestName>]) -> BTreeMap<ObjectPath, Timestamp> {
    let mut last = BTreeMap::new();
    for name in lines.iter().flatten() {
        if let Some(partition) = name.partition() {
            let found = last.entry(partition).or_insert(name.written_at);
            *found = name.written_at.max(*found);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use settle_types::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn options() -> SnapshotOptions {
        SnapshotOptions {
            keep: 2,
            grace: Duration::from_seconds(3_600),
            superseded: Duration::from_days(1),
            ..SnapshotOptions::new("settle")
        }
    }

    /// A manifest of this directory and offset, written so many hours ago.
    fn name(directory: &str, offset: u64, fold_version: i32, hours_ago: i64) -> ManifestName {
        let file = format!("{directory}/{offset:020}-{fold_version}-0123456789abcdef.json");
        ManifestName {
            path: ObjectPath::from(file),
            journal_next_offset: offset,
            fold_version,
            written_at: Timestamp::from_micros(-hours_ago * HOUR),
        }
    }

    /// Offsets that are kept, of manifests in one line given as offset and age in hours.
    fn kept_of(manifests: &[(u64, i64)]) -> Vec<u64> {
        let names =
            manifests.iter().map(|(offset, hours_ago)| name("m/authorize/1/none", *offset, 1, *hours_ago));
        let sorted = sort_out(names.collect(), Timestamp::EPOCH, &options());
        assert_eq!(sorted.kept.len() + sorted.expired.len(), manifests.len());
        sorted.kept.iter().map(|name| name.journal_next_offset).collect()
    }

    #[test]
    fn a_snapshot_goes_when_enough_newer_ones_have_stayed_for_the_grace_period() {
        type Case<'a> = (&'a str, &'a [(u64, i64)], &'a [u64]);
        let cases: [Case<'_>; 7] = [
            ("as many as are to be kept", &[(10, 9), (20, 8)], &[20, 10]),
            ("one more", &[(10, 9), (20, 8), (30, 7)], &[30, 20]),
            ("the newer ones are too young", &[(10, 9), (20, 0), (30, 0)], &[30, 20, 10]),
            ("one of the newer ones is too young", &[(10, 9), (20, 8), (30, 0)], &[30, 20, 10]),
            ("the young come on top", &[(10, 9), (20, 8), (30, 7), (40, 0), (50, 0)], &[50, 40, 30, 20]),
            ("the offset counts, not the time", &[(30, 9), (20, 2), (10, 2)], &[30, 20]),
            ("exactly as old as the grace period is young", &[(10, 9), (20, 8), (30, 1)], &[30, 20, 10]),
        ];
        for (what, manifests, expected) in cases {
            assert_eq!(kept_of(manifests), expected, "{what}");
        }
    }

    #[test]
    fn at_one_offset_the_last_written_is_the_newest() {
        let mut names = [name("m/a/1/x", 7, 1, 5), name("m/a/1/y", 7, 1, 3), name("m/a/1/z", 7, 1, 4)];
        sort_newest_first(&mut names);
        let ages: Vec<i64> = names.iter().map(|name| -name.written_at.as_micros() / HOUR).collect();
        assert_eq!(ages, [3, 4, 5]);
    }

    #[test]
    fn each_partition_topic_and_fold_version_is_counted_for_itself() {
        let lines = [("m/a/1/t", 1), ("m/a/1/t", 2), ("m/a/1/u", 1), ("m/a/2/t", 1), ("m/b/1/t", 1)];
        let names = lines.iter().flat_map(|(directory, fold_version)| {
            [10, 20, 30].map(|offset| name(directory, offset, *fold_version, 2))
        });
        let sorted = sort_out(names.collect(), Timestamp::EPOCH, &options());
        assert_eq!(sorted.kept.len(), 10);
        assert!(sorted.expired.iter().all(|name| name.journal_next_offset == 10));
    }

    #[test]
    fn a_line_that_ended_goes_as_a_whole_once_another_has_gone_on() {
        // The old line ended before, and the partition has gone on in another for some hours.
        for (last_of_old, expected) in [(25, 1), (23, 3)] {
            let names = vec![
                name("m/a/1/old", 90, 1, 30),
                name("m/a/1/old", 91, 1, last_of_old),
                name("m/a/1/new", 5, 1, 3),
            ];
            let sorted = sort_out(names, Timestamp::EPOCH, &options());
            assert_eq!(sorted.kept.len(), expected, "{last_of_old} hours");
        }
        // A partition that is idle for long keeps what it has; another partition is none of its business.
        let names = vec![name("m/a/1/t", 90, 1, 900), name("m/a/2/t", 90, 1, 0)];
        assert_eq!(sort_out(names, Timestamp::EPOCH, &options()).expired, []);
    }
}
