//! A process that sleeps while another takes its partitions over and handles their timers, and that then wakes: all it has to
//! commit is timers, no record. The generation that goes along with the positions is the only thing that stops it.

use std::time::Duration;

use settle_runtime::clock::{SystemClock, WallClock};
use settle_test_services::audit::Outcome;
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::proxy::{Fault, Requests};
use settle_tests::note;
use settle_tests::requests::{encoded, payment};
use settle_types::Timestamp;
use settle_types::request::PaymentRequested;

use crate::deployment::{Deployment, SESSION_TIMEOUT, is_full, seed};

const PARTITIONS: u32 = 4;
/// Scheduled payments of a round.
const PAYMENTS: u32 = 40;
/// From the request to the time for which a payment is scheduled: longer than a takeover.
const AHEAD: Duration = Duration::from_secs(10);
/// Whether the sleeper handles timers before it hears that it was replaced is a race within it: so many chances it has. The
/// long form insists that it used one; the simulator decides such races by its seed, and finds the bug in its first run.
const ROUNDS: u32 = 4;
const ROUNDS_IN_FULL: u32 = 30;
/// `TxnOffsetCommit`, in Kafka's protocol.
const TXN_OFFSET_COMMIT: i16 = 28;

fn schedule(deployment: &Deployment, round: u32, execute_at: Timestamp) {
    deployment.send((0..PAYMENTS).map(|number| {
        let debtor = format!("debtor-{number}");
        let request = PaymentRequested {
            merchant_id: "shop-1".into(),
            execute_at: Some(execute_at),
            ..payment(&debtor, &format!("p-{round}-{number}"))
        };
        let partition = settle_log::partition_for_key(debtor.as_bytes(), PARTITIONS);
        (partition, debtor, encoded(&request))
    }));
}

#[test]
fn a_sleeper_with_nothing_but_timers_commits_none_of_them() {
    let seed = seed();
    let (cluster, proxies) = Cluster::start_behind_proxies(Options::default()).expect("Kafka starts");
    let deployment = Deployment::new(cluster, PARTITIONS).with(&["clock.mode=processing".to_owned()]);
    let (sleeper, of_sleeper) = deployment.start_observed(0);
    let (other, of_other) = deployment.start_observed(1);
    let mut attempts = 0;
    let mut rounds = 0;
    let most_rounds = if is_full() { ROUNDS_IN_FULL } else { ROUNDS };
    while attempts == 0 && rounds < most_rounds {
        let both = |name: &str| of_sleeper.sum(name, &["authorize"]) + of_other.sum(name, &["authorize"]);
        for observed in [&of_sleeper, &of_other] {
            observed.wait("settle_assigned_partitions", &["authorize"], |owned| owned == 2);
            observed.wait("settle_worker_ready", &["authorize"], |ready| ready == 1);
        }
        let decided = both("settle_decided_records_total") + u64::from(PAYMENTS);
        let execute_at = SystemClock.now().saturating_add(duration(AHEAD));
        schedule(&deployment, rounds, execute_at);
        of_other.wait("settle_decided_records_total", &["authorize"], |_| {
            both("settle_decided_records_total") >= decided
        });
        rounds += 1;

        let fired = of_other.sum("settle_timers_fired_total", &["authorize"]);
        sleeper.signal("STOP");
        of_other.wait("settle_assigned_partitions", &["authorize"], |owned| owned == u64::from(PARTITIONS));
        of_other.wait("settle_timers_fired_total", &["authorize"], |now_fired| {
            now_fired >= fired + u64::from(PAYMENTS)
        });
        let positions = Requests::of(TXN_OFFSET_COMMIT).of_transaction("settle-authorize-0-0");
        let attempt = proxies[0].arm(positions, Fault::Copy);
        sleeper.signal("CONT");
        attempts += u32::from(attempt.wait_fired(1, SESSION_TIMEOUT));
        attempt.disarm();
    }
    note(format!("seed {seed}: {attempts} attempt(s) of the sleeper in {rounds} round(s)"));
    assert!(attempts > 0 || !is_full(), "the sleeper never tried to commit its timers");
    sleeper.stop();
    other.stop();
    let verdict = deployment.finish_and_judge(seed);
    let expected = usize::try_from(rounds * PAYMENTS).expect("few");
    assert_eq!(verdict.report.decided(Outcome::Scheduled), expected);
    assert_eq!(verdict.report.transitions, expected, "each timer changed its payment once");
}

fn duration(time: Duration) -> settle_types::Duration {
    settle_types::Duration::from_seconds(u32::try_from(time.as_secs()).expect("seconds"))
}
