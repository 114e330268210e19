//! Makes a failing plan small: faults and requests are taken out for as long as it still fails in the same way.

use crate::plan::Plan;
use crate::run::{Runner, StoreKind};

/// The kind of a violation: its words up to the first number or colon.
fn kind_of(violation: &str) -> &str {
    violation.split([':', '/', '@']).next().unwrap_or(violation)
}

/// A plan that fails as this one does, with as little in it as was found; and how many runs that took.
pub fn shrink(runner: &Runner, plan: &Plan, most_runs: u32) -> (Plan, u32) {
    let first = runner.run(plan, StoreKind::Memory).violations;
    let Some(kind) = first.first().map(|violation| kind_of(violation).to_owned()) else {
        return (plan.clone(), 1);
    };
    let mut runs = 1;
    let mut smallest = plan.clone();
    let mut still_fails = |plan: &Plan| {
        runs += 1;
        let violations = runner.run(plan, StoreKind::Memory).violations;
        violations.first().is_some_and(|violation| kind_of(violation) == kind)
    };
    let mut left = most_runs;
    // Faults first: without them a run is easier to follow.
    for takes_faults in [true, false, true] {
        let mut chunk =
            if takes_faults { smallest.faults.len() } else { smallest.requests.len() }.div_ceil(2).max(1);
        loop {
            let mut start = 0;
            let mut has_shrunk = false;
            loop {
                let length = if takes_faults { smallest.faults.len() } else { smallest.requests.len() };
                if start >= length || left == 0 {
                    break;
                }
                let mut candidate = smallest.clone();
                let end = (start + chunk).min(length);
                if takes_faults {
                    candidate.faults.drain(start..end);
                } else {
                    candidate.requests.drain(start..end);
                }
                left -= 1;
                if still_fails(&candidate) {
                    smallest = candidate;
                    has_shrunk = true;
                } else {
                    start += chunk;
                }
            }
            if left == 0 || chunk == 1 && !has_shrunk {
                break;
            }
            chunk = (chunk / 2).max(1);
        }
    }
    (smallest, runs)
}
