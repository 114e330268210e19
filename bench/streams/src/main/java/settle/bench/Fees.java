package settle.bench;

import java.util.Map;

/** The contracts of bench/settle.toml: basis points, rounded half to even, and a fixed part. */
final class Fees {
    private record Fee(long basisPoints, Map<String, Long> fixed) {}

    private static final Map<String, Fee> DEFAULT = Map.of(
            "CARD", new Fee(149, Map.of("EUR", 10L, "CZK", 250L, "USD", 12L, "GBP", 9L, "JPY", 16L, "BHD", 40L)),
            "BANK_TRANSFER", new Fee(0, Map.of("EUR", 20L, "CZK", 500L, "USD", 25L, "GBP", 18L, "JPY", 35L, "BHD", 80L)),
            "WALLET", new Fee(99, Map.of()));
    private static final Map<String, Fee> LARGEST = Map.of(
            "CARD", new Fee(119, Map.of("EUR", 5L, "CZK", 125L, "USD", 6L, "GBP", 5L, "JPY", 8L, "BHD", 20L)),
            "BANK_TRANSFER", new Fee(0, Map.of("EUR", 15L, "CZK", 375L, "USD", 19L, "GBP", 14L, "JPY", 26L, "BHD", 60L)),
            "WALLET", new Fee(79, Map.of()));

    private Fees() {}

    static long of(String merchant, String method, String currency, long amount) {
        Fee fee = ("m-0001".equals(merchant) ? LARGEST : DEFAULT).get(method);
        return Math.addExact(share(fee.basisPoints(), amount), fee.fixed().getOrDefault(currency, 0L));
    }

    private static long share(long basisPoints, long amount) {
        long product = Math.multiplyExact(basisPoints, amount);
        long quotient = product / 10_000;
        long rest = product % 10_000;
        boolean isUp = rest > 5_000 || rest == 5_000 && quotient % 2 == 1;
        return isUp ? quotient + 1 : quotient;
    }
}
