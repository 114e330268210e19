package settle.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import settle.v1.PaymentRequested;
import settle.v1.Reason;

/** The five rules of bench/settle.toml. */
final class Rules {
    private static final Map<String, Long> PER_PAYMENT = Map.of(
            "EUR", 1_000_000L, "CZK", 25_000_000L, "USD", 1_000_000L, "GBP", 900_000L, "JPY", 1_500_000L, "BHD", 4_000_000L);
    private static final Map<String, Long> DAILY_SUM = Map.of(
            "EUR", 2_000_000L, "CZK", 50_000_000L, "USD", 2_000_000L, "GBP", 1_800_000L, "JPY", 3_000_000L, "BHD", 8_000_000L);
    private static final long DAILY_COUNT = 40;
    private static final Set<String> CURRENCIES = PER_PAYMENT.keySet();
    private static final Set<String> DENIED_DEBTORS = Set.of("acct-denied");
    private static final Set<String> DENIED_COUNTRIES = Set.of("KP");

    private Rules() {}

    /** What live rules say; empty: approved. */
    record Verdict(List<Reason> reasons, int score) {}

    static Verdict evaluate(PaymentRequested request, long sumToday, long countToday) {
        List<Reason> reasons = new ArrayList<>(0);
        int score = 0;
        String currency = request.getCurrency();
        long amount = request.getAmountMinor();
        if (!CURRENCIES.contains(currency)) {
            for (String rule : List.of("limit-per-payment", "limit-daily-sum", "limit-daily-count")) {
                reasons.add(reason("NO_LIMIT_FOR_CURRENCY", "the rule has no limit for " + currency, rule));
            }
        } else {
            long limit = PER_PAYMENT.get(currency);
            if (amount > limit) {
                String detail = "amount " + amount + " is above the limit of " + limit
                        + " per payment (minor units of " + currency + ")";
                reasons.add(reason("LIMIT_PER_PAYMENT", detail, "limit-per-payment"));
            }
            long sum = Math.addExact(sumToday, amount);
            long daily = DAILY_SUM.get(currency);
            if (sum > daily) {
                String detail = "amount " + amount + " after " + sumToday + " today makes " + sum
                        + ", above the limit of " + daily + " per day (minor units of " + currency + ")";
                reasons.add(reason("LIMIT_DAILY_SUM", detail, "limit-daily-sum"));
            }
            if (countToday + 1 > DAILY_COUNT) {
                String detail = "payment number " + (countToday + 1) + " of the day in " + currency
                        + " is above the limit of " + DAILY_COUNT + " per day";
                reasons.add(reason("LIMIT_DAILY_COUNT", detail, "limit-daily-count"));
                score += 30;
            }
        }
        if (DENIED_DEBTORS.contains(request.getDebtorAccount())) {
            reasons.add(reason("DENY_LIST", "the value of DEBTOR_ACCOUNT is on a deny list of 1 values", "denied-debtors"));
            score += 100;
        }
        String country = request.getCountry();
        if (country != null && DENIED_COUNTRIES.contains(country.toUpperCase(Locale.ROOT))) {
            reasons.add(reason("DENY_LIST", "the value of COUNTRY is on a deny list of 1 values", "denied-countries"));
            score += 100;
        }
        return new Verdict(reasons, score);
    }

    private static Reason reason(String code, String detail, String rule) {
        return new Reason(code, detail, rule, 1);
    }
}
