//! Who pays whom, how much and when: integer weights that look like real trade.

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use settle_types::{DebtorAccount, MerchantId};

/// Merchants of the generated day.
pub(super) const MERCHANTS: u32 = 200;
/// Requests of the day for each debtor, on average.
const REQUESTS_PER_DEBTOR: u64 = 5;

/// Debtors of a day with so many requests.
pub(super) fn debtors(requests: u64) -> u32 {
    u32::try_from((requests / REQUESTS_PER_DEBTOR).clamp(1_000, 10_000_000)).expect("clamped into range")
}

/// Merchant category codes, by merchant.
const CATEGORY_CODES: [&str; 6] = ["5411", "5812", "5732", "5999", "4111", "7995"];
/// Countries and weights.
const COUNTRIES: [(&str, u32); 8] =
    [("CZ", 40), ("DE", 20), ("SK", 10), ("US", 10), ("GB", 8), ("JP", 6), ("BH", 4), ("KP", 1)];

/// Share of the day's traffic by hour of UTC: quiet nights, a noon and an evening peak.
const HOURLY_WEIGHTS: [u32; 24] =
    [4, 3, 2, 2, 3, 6, 14, 26, 38, 46, 52, 60, 66, 58, 52, 50, 54, 62, 70, 66, 48, 30, 16, 8];

/// A currency that merchants sell in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Market {
    pub(super) currency: &'static str,
    weight: u32,
    /// A usual price in minor units.
    typical_minor: i64,
    /// Prices are whole multiples of it, as far as people set prices.
    step_minor: i64,
}

const MARKETS: [Market; 6] = [
    Market { currency: "EUR", weight: 34, typical_minor: 3_500, step_minor: 1 },
    Market { currency: "CZK", weight: 36, typical_minor: 65_000, step_minor: 100 },
    Market { currency: "USD", weight: 14, typical_minor: 4_000, step_minor: 1 },
    Market { currency: "GBP", weight: 8, typical_minor: 2_800, step_minor: 1 },
    Market { currency: "JPY", weight: 5, typical_minor: 4_200, step_minor: 10 },
    Market { currency: "BHD", weight: 3, typical_minor: 14_000, step_minor: 5 },
];

/// Draws an index by weight.
pub(super) fn weighted(random: &mut ChaCha12Rng, weights: &[u32]) -> usize {
    let total: u32 = weights.iter().sum();
    let mut drawn = random.random_range(0..total);
    for (index, weight) in weights.iter().enumerate() {
        if drawn < *weight {
            return index;
        }
        drawn -= weight;
    }
    unreachable!("a number below the sum of the weights falls into one of them")
}

/// Draws a rank below `count`, low ranks more often: the range is halved up to `most_halvings` times, each number
/// of halvings as likely, which for many of them comes close to Zipf's law.
fn skewed(random: &mut ChaCha12Rng, count: u32, most_halvings: u32) -> u32 {
    let halvings = random.random_range(0..=most_halvings);
    random.random_range(0..(count >> halvings).max(1))
}

/// A merchant, and the market that it sells in.
pub(super) fn merchant(random: &mut ChaCha12Rng) -> (MerchantId, Market) {
    let rank = skewed(random, MERCHANTS, 5) + 1;
    // Most merchants sell in one currency; the large ones in all.
    let market = if rank <= 5 {
        let weights: Vec<u32> = MARKETS.iter().map(|market| market.weight).collect();
        MARKETS[weighted(random, &weights)]
    } else {
        let weights_sum: u32 = MARKETS.iter().map(|market| market.weight).sum();
        let mut place = rank.wrapping_mul(2_654_435_761) % weights_sum;
        let found = MARKETS.iter().find(|market| match place.checked_sub(market.weight) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        *found.unwrap_or(&MARKETS[0])
    };
    (MerchantId::new(format!("m-{rank:04}")), market)
}

/// One of so many debtors. The busiest stay below the daily count of the example rules.
pub(super) fn debtor(random: &mut ChaCha12Rng, debtors: u32) -> DebtorAccount {
    DebtorAccount::new(format!("acct-{:06}", skewed(random, debtors, 4)))
}

/// A price in minor units: many small ones, few large.
pub(super) fn price(random: &mut ChaCha12Rng, market: Market) -> i64 {
    const SCALES: [(i64, u32); 6] = [(10, 20), (40, 30), (100, 30), (250, 14), (900, 5), (4_000, 1)];
    let scale = SCALES[weighted(random, &SCALES.map(|(_, weight)| weight))].0;
    let around = market.typical_minor * scale / 100;
    let price = random.random_range(around / 2..=around * 2);
    (price / market.step_minor).max(1) * market.step_minor
}

/// A payment method: CARD, BANK_TRANSFER or WALLET.
pub(super) fn payment_method(random: &mut ChaCha12Rng) -> &'static str {
    ["CARD", "BANK_TRANSFER", "WALLET"][weighted(random, &[70, 18, 12])]
}

/// A country.
pub(super) fn country(random: &mut ChaCha12Rng) -> &'static str {
    COUNTRIES[weighted(random, &COUNTRIES.map(|(_, weight)| weight))].0
}

/// The category code of a merchant.
pub(super) fn category_code(merchant: &MerchantId) -> &'static str {
    let sum: usize = merchant.as_str().bytes().map(usize::from).sum();
    CATEGORY_CODES[sum % CATEGORY_CODES.len()]
}

/// Microseconds since midnight of the `index`-th of `count` requests of the day.
pub(super) fn time_of_day(index: u64, count: u64) -> i64 {
    const HOUR_MICROS: u128 = 3_600_000_000;
    let total: u128 = HOURLY_WEIGHTS.iter().map(|weight| u128::from(*weight)).sum();
    // Where the request stands in the day's traffic, in micro-shares of an hour's weight.
    let mut place = u128::from(index) * total * HOUR_MICROS / u128::from(count.max(1));
    let mut start_of_hour: u128 = 0;
    for weight in HOURLY_WEIGHTS.map(u128::from) {
        let share = weight * HOUR_MICROS;
        if place < share {
            let micros = start_of_hour + place / weight;
            return i64::try_from(micros).expect("a time of a day fits");
        }
        place -= share;
        start_of_hour += HOUR_MICROS;
    }
    i64::try_from(start_of_hour - 1).expect("a time of a day fits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn times_of_day_rise_and_follow_the_curve() {
        let count = 10_000;
        let times: Vec<i64> = (0..count).map(|index| time_of_day(index, count)).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        let in_hour = |hour: i64| times.iter().filter(|time| **time / 3_600_000_000 == hour).count();
        assert!(in_hour(18) > 10 * in_hour(2), "the evening is busier than the night");
        assert!(in_hour(23) > 0);
    }

    #[test]
    fn low_ranks_are_drawn_more_often() {
        let mut random = ChaCha12Rng::seed_from_u64(1);
        let draws: Vec<u32> = (0..10_000).map(|_| skewed(&mut random, MERCHANTS, 5)).collect();
        let below = |rank: u32| draws.iter().filter(|draw| **draw < rank).count();
        assert!((2_000..5_000).contains(&below(10)), "{}", below(10));
        assert!(draws.iter().any(|draw| *draw > 150));
    }
}
