//! The day itself: what is requested when, as an iterator with bounded memory.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use settle_types::request::{Card, EventType, PaymentRequested};
use settle_types::{DebtorAccount, Duration, IdempotencyKey, PaymentId, Timestamp};

use super::catalogue;
use super::follow_up::{Share, conflict, follow_up, retry};
use super::{DENIED_DEBTOR, Generated, LIMITS_PER_PAYMENT_MINOR};

/// Which day to generate.
#[derive(Clone, Copy, Debug)]
pub struct TrafficOptions {
    /// Records, retries, follow-ups and malformed ones included.
    pub payments: u64,
    /// The same seed gives the same day.
    pub seed: u64,
    /// Midnight UTC at which the day begins.
    pub start: Timestamp,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        // Monday, 2 March 2026.
        Self { payments: 50_000, seed: 42, start: Timestamp::from_micros(1_772_409_600_000_000) }
    }
}

/// What the next record is, with weights in ten thousandths.
#[derive(Clone, Copy)]
enum Kind {
    Payment,
    Retry,
    Conflict,
    Refund,
    RefundAboveRest,
    RefundOfUnknown,
    Chargeback,
    Reversal,
    Cancellation,
    Scheduled,
    AboveLimit,
    Denied,
    BurstStart,
    Malformed,
}

const KINDS: [(Kind, u32); 14] = [
    (Kind::Payment, 8_864),
    (Kind::Retry, 500),
    (Kind::Conflict, 30),
    (Kind::Refund, 280),
    (Kind::RefundAboveRest, 10),
    (Kind::RefundOfUnknown, 10),
    (Kind::Chargeback, 40),
    (Kind::Reversal, 20),
    (Kind::Cancellation, 50),
    (Kind::Scheduled, 30),
    (Kind::AboveLimit, 40),
    (Kind::Denied, 112),
    (Kind::BurstStart, 4),
    (Kind::Malformed, 10),
];

/// Earlier requests that retries and follow-ups may be about.
const WINDOW: usize = 4_096;
/// Payments of a burst: more than the daily count of the example rules.
const BURST_PAYMENTS: u32 = 60;

/// Requests remembered for later, the newest replacing an older one: bounded memory.
#[derive(Default)]
struct Window {
    requests: Vec<PaymentRequested>,
    next: usize,
}

impl Window {
    fn push(&mut self, request: PaymentRequested) {
        if self.requests.len() < WINDOW {
            self.requests.push(request);
        } else {
            self.requests[self.next] = request;
            self.next = (self.next + 1) % WINDOW;
        }
    }

    fn pick(&self, random: &mut ChaCha12Rng) -> Option<&PaymentRequested> {
        if self.requests.is_empty() {
            return None;
        }
        self.requests.get(random.random_range(0..self.requests.len()))
    }

    /// Picks a request and forgets it, so that it is the subject of one follow-up.
    fn take(&mut self, random: &mut ChaCha12Rng) -> Option<PaymentRequested> {
        if self.requests.is_empty() {
            return None;
        }
        let index = random.random_range(0..self.requests.len());
        self.next = 0;
        Some(self.requests.swap_remove(index))
    }
}

struct Burst {
    debtor: DebtorAccount,
    left: u32,
}

/// The records of a generated day, in order of time.
pub struct Traffic {
    options: TrafficOptions,
    random: ChaCha12Rng,
    debtors: u32,
    index: u64,
    /// Any recent request: may be sent again.
    recent: Window,
    /// Payments without a follow-up.
    open: Window,
    chargebacks: Window,
    burst: Option<Burst>,
}

impl Traffic {
    /// A day of traffic.
    pub fn new(options: TrafficOptions) -> Self {
        Self {
            options,
            random: ChaCha12Rng::seed_from_u64(options.seed),
            debtors: catalogue::debtors(options.payments),
            index: 0,
            recent: Window::default(),
            open: Window::default(),
            chargebacks: Window::default(),
            burst: None,
        }
    }

    fn now(&self) -> Timestamp {
        let micros = catalogue::time_of_day(self.index, self.options.payments);
        Timestamp::from_micros(self.options.start.as_micros().saturating_add(micros))
    }

    /// What the ids of the present record end with. Days of different seeds share no id; letters between the
    /// digits keep the ids from looking like card numbers.
    fn name(&self) -> String {
        format!("{:x}-n{:08}", self.options.seed, self.index)
    }

    fn draw(&mut self) -> Generated {
        let now = self.now();
        if let Some(request) = self.continue_burst(now) {
            return Generated::Request(Box::new(request));
        }
        let kind = KINDS[catalogue::weighted(&mut self.random, &KINDS.map(|(_, weight)| weight))].0;
        let request = match kind {
            Kind::Malformed => {
                let request = self.payment(now);
                return super::malformed::spoil(&mut self.random, request);
            }
            // Where there is nothing to follow up yet, early in the day, a payment takes its place.
            _ => self.request_of(kind, now).unwrap_or_else(|| self.remembered_payment(now)),
        };
        Generated::Request(Box::new(request))
    }

    fn request_of(&mut self, kind: Kind, now: Timestamp) -> Option<PaymentRequested> {
        let name = self.name();
        match kind {
            Kind::Retry => Some(retry(self.recent.pick(&mut self.random)?, now)),
            Kind::Conflict => Some(conflict(self.recent.pick(&mut self.random)?, now)),
            Kind::Refund => {
                let original = self.open.take(&mut self.random)?;
                let share = if self.random.random_range(0..3_u8) == 0 { Share::Part } else { Share::Whole };
                Some(follow_up(&mut self.random, &original, EventType::Refund, share, &name, now))
            }
            Kind::RefundAboveRest => {
                let original = self.open.pick(&mut self.random)?.clone();
                Some(follow_up(&mut self.random, &original, EventType::Refund, Share::TooMuch, &name, now))
            }
            Kind::RefundOfUnknown => {
                let mut original = self.open.pick(&mut self.random)?.clone();
                original.payment_id = PaymentId::new(format!("lost-{name}"));
                Some(follow_up(&mut self.random, &original, EventType::Refund, Share::Whole, &name, now))
            }
            Kind::Chargeback => {
                let original = self.open.take(&mut self.random)?;
                let chargeback =
                    follow_up(&mut self.random, &original, EventType::Chargeback, Share::Whole, &name, now);
                self.chargebacks.push(chargeback.clone());
                Some(chargeback)
            }
            Kind::Reversal => {
                let chargeback = self.chargebacks.take(&mut self.random)?;
                let event_type = EventType::ChargebackReversal;
                Some(follow_up(&mut self.random, &chargeback, event_type, Share::Whole, &name, now))
            }
            Kind::Cancellation => {
                let original = self.open.take(&mut self.random)?;
                Some(follow_up(
                    &mut self.random,
                    &original,
                    EventType::Cancellation,
                    Share::Whole,
                    &name,
                    now,
                ))
            }
            Kind::Scheduled => {
                let mut request = self.payment(now);
                let wait_seconds = self.random.random_range(600..14_400);
                request.execute_at = Some(now.saturating_add(Duration::from_seconds(wait_seconds)));
                Some(request)
            }
            Kind::AboveLimit => {
                let mut request = self.payment(now);
                let limit =
                    LIMITS_PER_PAYMENT_MINOR.iter().find(|(currency, _)| *currency == request.currency);
                request.amount_minor = limit.map_or(i64::MAX, |(_, limit)| limit + 1);
                Some(request)
            }
            Kind::Denied => {
                let mut request = self.payment(now);
                request.debtor_account = DENIED_DEBTOR.into();
                Some(request)
            }
            Kind::BurstStart => {
                let debtor = catalogue::debtor(&mut self.random, self.debtors);
                self.burst = Some(Burst { debtor, left: BURST_PAYMENTS });
                self.continue_burst(now)
            }
            Kind::Payment | Kind::Malformed => None,
        }
    }

    /// A stolen account: many payments in a short time.
    fn continue_burst(&mut self, now: Timestamp) -> Option<PaymentRequested> {
        let burst = self.burst.as_mut()?;
        burst.left -= 1;
        let debtor = burst.debtor.clone();
        if burst.left == 0 {
            self.burst = None;
        }
        let mut request = self.payment(now);
        request.debtor_account = debtor;
        Some(request)
    }

    fn remembered_payment(&mut self, now: Timestamp) -> PaymentRequested {
        let request = self.payment(now);
        self.recent.push(request.clone());
        self.open.push(request.clone());
        request
    }

    fn payment(&mut self, now: Timestamp) -> PaymentRequested {
        let name = self.name();
        let random = &mut self.random;
        let (merchant_id, market) = catalogue::merchant(random);
        let payment_method = catalogue::payment_method(random);
        let card = (payment_method == "CARD").then(|| Card {
            token: format!("tok_{:08x}", random.random::<u32>()).into(),
            bin: Some("411111".into()),
            last4: Some(format!("{:04}", random.random_range(0..10_000_u32)).into()),
            expiry: Some("12/29".into()),
        });
        PaymentRequested {
            event_type: EventType::Payment,
            payment_id: PaymentId::new(format!("pay-{name}")),
            original_payment_id: None,
            idempotency_key: IdempotencyKey::new(format!("key-{name}")),
            debtor_account: catalogue::debtor(random, self.debtors),
            amount_minor: catalogue::price(random, market),
            currency: market.currency.into(),
            payment_method: payment_method.into(),
            card,
            country: Some(catalogue::country(random).into()),
            mcc: Some(catalogue::category_code(&merchant_id).into()),
            ip: None,
            device_id: None,
            requested_at: now,
            execute_at: None,
            priority: 0,
            metadata: std::collections::BTreeMap::new(),
            merchant_id,
        }
    }
}

impl Iterator for Traffic {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        if self.index >= self.options.payments {
            return None;
        }
        let generated = self.draw();
        self.index += 1;
        Some(generated)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn requests(payments: u64, seed: u64) -> Vec<Generated> {
        Traffic::new(TrafficOptions { payments, seed, ..TrafficOptions::default() }).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_seed_another() {
        assert_eq!(requests(2_000, 7), requests(2_000, 7));
        assert_ne!(requests(2_000, 7), requests(2_000, 8));
    }

    #[test]
    fn the_day_has_everything_in_it_and_rises_in_time() {
        let generated = requests(50_000, 42);
        assert_eq!(generated.len(), 50_000);
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        let mut keys: BTreeMap<String, u32> = BTreeMap::new();
        let mut last = Timestamp::MIN;
        for record in &generated {
            let Generated::Request(request) = record else {
                *kinds.entry("bytes").or_default() += 1;
                continue;
            };
            *kinds.entry(request.event_type.as_str()).or_default() += 1;
            *kinds.entry(request.currency.as_str()).or_default() += 1;
            *keys.entry(request.idempotency_key.to_string()).or_default() += 1;
            let is_far_ahead = request.requested_at > last.saturating_add(Duration::from_days(300));
            if last > Timestamp::MIN && is_far_ahead {
                *kinds.entry("far ahead").or_default() += 1;
                continue;
            }
            assert!(request.requested_at >= last);
            last = request.requested_at;
        }
        let retries: u32 = keys.values().map(|uses| uses - 1).sum();
        for (kind, at_least, at_most) in [
            ("PAYMENT", 40_000, 49_000),
            ("REFUND", 1_000, 2_000),
            ("CHARGEBACK", 120, 320),
            ("CHARGEBACK_REVERSAL", 50, 160),
            ("CANCELLATION", 150, 400),
            ("JPY", 500, 6_000),
            ("BHD", 200, 4_000),
            ("bytes", 3, 60),
            ("far ahead", 1, 30),
        ] {
            let found = kinds.get(kind).copied().unwrap_or_default();
            assert!((at_least..=at_most).contains(&found), "{kind}: {found}");
        }
        assert!((2_000..3_500).contains(&retries), "{retries}");
    }

    #[test]
    fn ordinary_ids_are_no_card_numbers() {
        for record in requests(20_000, 3) {
            let Generated::Request(request) = record else { continue };
            for id in
                [request.payment_id.as_str(), request.debtor_account.as_str(), request.merchant_id.as_str()]
            {
                assert!(id.bytes().filter(u8::is_ascii_digit).count() < 13, "{id}");
            }
        }
    }
}
