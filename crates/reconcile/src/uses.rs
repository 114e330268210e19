//! No idempotency key was consumed twice within its retention, no payment id booked twice per merchant (I8).

use settle_types::{Timestamp, topic};

use crate::Error;
use crate::finding::{Finding, Kind, Place};
use crate::run::{Run, Use};
use crate::sorted::Sorted;

/// Looks at all uses of each key in the order of their time.
pub(crate) fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let empty = Sorted::new(&run.scratch)?;
    let uses = std::mem::replace(&mut run.uses, empty);
    uses.each_group(|group: Vec<Use>| {
        run.checked.keys += 1;
        for pair in group.windows(2) {
            let [first, second] = pair else { continue };
            if !second.is_checked || second.from >= first.until {
                continue;
            }
            let until = Timestamp::from_micros(first.until);
            let what = if second.is_authorize { "the idempotency key" } else { "the payment id" };
            let detail = format!("I8: {what} was used at {} and is not free before {until}", place(first));
            run.findings.add(Finding::new(Kind::Twice, place(second), detail));
        }
    })
}

fn place(used: &Use) -> Place {
    let journal = if used.is_authorize { topic::DECIDED } else { topic::SETTLEMENT_EVENTS };
    Place::new(journal, used.partition, used.offset)
}
