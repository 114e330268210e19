//! Random trouble on a running deployment: whatever happens, each request is decided once and the books balance.

use std::collections::BTreeMap;
use std::time::Duration;

use settle_test_services::audit::Outcome as Decision;
use settle_test_services::kafka::{Cluster, Options};
use settle_test_services::proxy::Proxy;
use settle_tests::program::now;
use settle_tests::{Chance, note};

use crate::deployment::{Deployment, Process, SESSION_TIMEOUT, is_full, seed};

const PARTITIONS: u32 = 8;
const PROCESSES: u32 = 3;

/// What can happen to a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// `kill -9` and a restart.
    Kill,
    /// Stopped for longer than the session timeout, then awake with an old transaction.
    Zombie,
    /// Stopped for longer than its transaction may last.
    LongSleep,
    /// SIGTERM and a restart.
    Roll,
    /// Down to one process and up again.
    Scale,
    /// A broker is killed and restarted.
    BrokerKill,
    /// Every connection is cut.
    Cut,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::Kill,
    Trouble::Zombie,
    Trouble::LongSleep,
    Trouble::Roll,
    Trouble::Scale,
    Trouble::BrokerKill,
    Trouble::Cut,
];

struct Round<'a> {
    deployment: &'a Deployment,
    proxies: &'a [Proxy],
    processes: BTreeMap<u32, Process>,
    chance: Chance,
    happened: BTreeMap<Trouble, u32>,
}

impl Round<'_> {
    fn start_all(&mut self) {
        for instance in 0..PROCESSES {
            self.processes.entry(instance).or_insert_with(|| self.deployment.start(instance));
        }
    }

    fn any_process(&mut self) -> u32 {
        u32::try_from(self.chance.between(0, u64::from(PROCESSES))).expect("a small number")
    }

    fn pause(&mut self, from_ms: u64, until_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.chance.between(from_ms, until_ms)));
    }

    fn make(&mut self, trouble: Trouble) {
        note(format!("trouble: {trouble:?}"));
        *self.happened.entry(trouble).or_default() += 1;
        let victim = self.any_process();
        match trouble {
            Trouble::Kill => {
                if let Some(mut process) = self.processes.remove(&victim) {
                    process.kill();
                }
                self.pause(0, 1_500);
                self.start_all();
            }
            Trouble::Zombie => self.sleep_through(victim, SESSION_TIMEOUT + Duration::from_secs(2)),
            Trouble::LongSleep => self.sleep_through(victim, Duration::from_secs(9)),
            Trouble::Roll => {
                for instance in 0..PROCESSES {
                    if let Some(process) = self.processes.remove(&instance) {
                        process.stop();
                    }
                    self.start_all();
                    self.pause(300, 1_000);
                }
            }
            Trouble::Scale => {
                for instance in 1..PROCESSES {
                    if let Some(process) = self.processes.remove(&instance) {
                        process.stop();
                    }
                }
                std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(1));
                self.start_all();
            }
            Trouble::BrokerKill => {
                let brokers = self.deployment.cluster.brokers();
                let index = self.chance.between(0, u64::try_from(brokers.len()).expect("few"));
                let broker = &brokers[usize::try_from(index).expect("few")];
                broker.kill9().expect("a broker can be killed");
                self.pause(200, 2_000);
                broker.start().expect("a broker starts again");
            }
            Trouble::Cut => {
                let cut: usize = self.proxies.iter().map(Proxy::cut_all).sum();
                note(format!("{cut} connections cut"));
            }
        }
    }

    fn sleep_through(&mut self, victim: u32, time: Duration) {
        let Some(process) = self.processes.get(&victim) else { return };
        process.signal("STOP");
        std::thread::sleep(time);
        process.signal("CONT");
    }

    /// A process that gave up for a reason that an orchestrator heals by a restart is restarted, as one would. A zombie
    /// may find that it was replaced; a broker that is away for long ends it.
    fn restart_ended(&mut self) {
        let ended: Vec<u32> = self
            .processes
            .iter_mut()
            .filter_map(|(instance, process)| process.ended().map(|_| *instance))
            .collect();
        for instance in ended {
            if let Some(process) = self.processes.remove(&instance) {
                note(format!("process {instance} ended by itself:\n{}", process.last_words()));
            }
        }
        self.start_all();
    }
}

fn round(brokers: u16, requests: u32, troubles: u32, seed: u64) {
    let options = Options { brokers, ..Options::default() };
    let (cluster, proxies) = Cluster::start_behind_proxies(options).expect("Kafka starts");
    let deployment = Deployment::new(cluster, PARTITIONS);
    let mut chance = Chance::new(seed);
    note(format!("torture: {brokers} broker(s), {requests} requests, {troubles} troubles, seed {seed}"));
    let mut order: Vec<Trouble> = Vec::new();
    while order.len() < usize::try_from(troubles).expect("few") {
        // Each kind in every turn of seven, in another order each time.
        let mut turn = TROUBLES.to_vec();
        while !turn.is_empty() {
            let index = chance.between(0, u64::try_from(turn.len()).expect("few"));
            order.push(turn.remove(usize::try_from(index).expect("few")));
        }
    }
    order.truncate(usize::try_from(troubles).expect("few"));

    let started = now();
    let mut round = Round {
        deployment: &deployment,
        proxies: &proxies,
        processes: BTreeMap::new(),
        chance,
        happened: BTreeMap::new(),
    };
    round.start_all();
    std::thread::scope(|scope| {
        // Requests come in portions all the while, so that there is work whenever something happens.
        let portions = troubles.max(1);
        let deployment = &deployment;
        let producer = scope.spawn(move || {
            for portion in 0..portions {
                deployment.produce(requests / portions, seed.wrapping_add(u64::from(portion)));
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        for trouble in order {
            round.pause(500, 2_000);
            round.make(trouble);
            round.restart_ended();
        }
        producer.join().expect("the requests are written");
    });
    round.pause(1_000, 2_000);
    for (_, process) in std::mem::take(&mut round.processes) {
        process.stop();
    }
    note(format!("{:?} in {} s", round.happened, started.elapsed().as_secs()));
    let verdict = deployment.finish_and_judge(seed);
    let expected =
        usize::try_from(requests / troubles.max(1) * troubles.max(1)).expect("a number of records");
    assert_eq!(verdict.report.requests, expected, "seed {seed}: every request was written once");
    let decided: usize = verdict.report.decisions.values().sum();
    assert_eq!(decided, expected, "seed {seed}: every request was decided once");
    assert!(verdict.report.decided(Decision::Approved) > expected / 2, "seed {seed}: most are approved");
    assert!(verdict.report.decided(Decision::Replayed) > 0, "seed {seed}: retries are recognised");
    assert!(verdict.report.batches_closed > 0, "seed {seed}: batches close");
    let kinds = round.happened.len();
    assert!(
        kinds >= usize::try_from(troubles).expect("few").min(TROUBLES.len()),
        "seed {seed}: {kinds} kinds"
    );
}

#[test]
fn nothing_is_lost_or_doubled_whatever_happens() {
    let seed = seed();
    match is_full() {
        false => round(1, 42_000, 7, seed),
        true => {
            round(1, 200_000, 20, seed);
            round(3, 200_000, 20, seed.wrapping_add(1_000));
        }
    }
}
