package settle.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import settle.v1.Decision;
import settle.v1.DecisionEvent;
import settle.v1.EventKind;
import settle.v1.Fingerprint;
import settle.v1.FirstDecision;
import settle.v1.Outcome;
import settle.v1.Payment;
import settle.v1.PaymentApproved;
import settle.v1.PaymentRequested;
import settle.v1.Reason;
import settle.v1.RiskAssessment;
import settle.v1.SourcePosition;

/** Removes duplicates, applies the rules, decides. The clock is the highest time of a request so far. */
final class Authorize implements Processor<String, PaymentRequested, String, Object> {
    static final String KEYS = "authorize-keys";
    static final String PAYMENTS = "authorize-payments";
    static final String DAYS = "authorize-days";
    static final String META = "authorize-meta";

    private static final byte[] DOMAIN = "settle.fingerprint.v1".getBytes(StandardCharsets.UTF_8);
    private static final Duration KEY_RETENTION = Duration.ofDays(7);
    private static final Duration PAYMENT_RETENTION = Duration.ofDays(550);
    private static final long MICROS_PER_DAY = 86_400_000_000L;
    private static final String HEAD = "head";

    private final Bytes bytes = new Bytes();
    private ProcessorContext<String, Object> context;
    private KeyValueStore<String, byte[]> keys;
    private KeyValueStore<String, byte[]> payments;
    private KeyValueStore<String, byte[]> days;
    private KeyValueStore<String, byte[]> meta;
    private long nextSequence;
    private long now = Long.MIN_VALUE;

    @Override
    public void init(ProcessorContext<String, Object> given) {
        context = given;
        keys = given.getStateStore(KEYS);
        payments = given.getStateStore(PAYMENTS);
        days = given.getStateStore(DAYS);
        meta = given.getStateStore(META);
        byte[] head = meta.get(HEAD);
        if (head != null) {
            ByteBuffer row = ByteBuffer.wrap(head);
            nextSequence = row.getLong();
            now = row.getLong();
        }
    }

    @Override
    public void process(Record<String, PaymentRequested> record) {
        PaymentRequested request = record.value();
        RecordMetadata position = context.recordMetadata().orElseThrow();
        now = Math.max(now, micros(request.getRequestedAt()));
        String decisionId = position.topic() + "-" + position.partition() + "-" + position.offset();
        byte[] fingerprint = fingerprint(request);
        Decision decision = decide(request, decisionId, fingerprint);
        write(record, position, request, decision);
    }

    private Decision decide(PaymentRequested request, String decisionId, byte[] fingerprint) {
        Decision decision = new Decision();
        decision.setDecisionId(decisionId);
        decision.setPayment(payment(request));
        decision.setFingerprint(new Fingerprint(1, Bytes.hex(fingerprint)));
        decision.setReasons(List.of());
        decision.setForwarded(false);
        String scope = request.getMerchantId() + '\0' + request.getDebtorAccount() + '\0';
        String key = scope + request.getIdempotencyKey();
        String paymentKey = scope + request.getPaymentId();
        if (usedKey(decision, keys.get(key), fingerprint) || usedId(decision, payments.get(paymentKey))) {
            return decision;
        }
        long day = Math.floorDiv(now, MICROS_PER_DAY);
        String dayKey = request.getDebtorAccount() + '\0' + request.getCurrency() + '\0' + day;
        byte[] today = days.get(dayKey);
        long sum = today == null ? 0 : ByteBuffer.wrap(today).getLong();
        long count = today == null ? 0 : ByteBuffer.wrap(today, 8, 8).getLong();
        Rules.Verdict verdict = Rules.evaluate(request, sum, count);
        boolean isApproved = verdict.reasons().isEmpty();
        Map<String, Long> features = new TreeMap<>();
        features.put("amount_minor", request.getAmountMinor());
        features.put("daily_count", count);
        features.put("daily_sum_minor", sum);
        Outcome outcome = isApproved ? Outcome.APPROVED : Outcome.DECLINED;
        Instant expiresAt = instant(now).plus(KEY_RETENTION);
        decision.setOutcome(outcome);
        decision.setReasons(verdict.reasons());
        decision.setRisk(new RiskAssessment(verdict.score(), features, List.of()));
        decision.setKeyExpiresAt(expiresAt);
        decision.setForwarded(isApproved);
        keys.put(key, keyRow(request, decisionId, fingerprint, outcome, micros(expiresAt)));
        payments.put(paymentKey, paymentRow(request, decisionId, outcome, isApproved ? day : Long.MIN_VALUE));
        if (isApproved) {
            days.put(dayKey, bytes.clear().i64(Math.addExact(sum, request.getAmountMinor())).i64(count + 1).done());
        }
        return decision;
    }

    /** The answer to a request whose key was used. */
    private boolean usedKey(Decision decision, byte[] row, byte[] fingerprint) {
        if (row == null) {
            return false;
        }
        ByteBuffer used = ByteBuffer.wrap(row);
        long expiresAt = used.getLong();
        if (expiresAt <= now) {
            return false;
        }
        Outcome first = Outcome.values()[used.get()];
        boolean isRetry = Arrays.equals(row, 9, 41, fingerprint, 0, 32);
        used.position(41);
        String decisionId = Bytes.text(used);
        String detail = isRetry
                ? "a retry of " + decisionId
                : "idempotency_key: used by " + decisionId + " for payment " + Bytes.text(used)
                        + " with other content; use a new key for a new intent";
        answer(decision, isRetry ? Outcome.REPLAYED : Outcome.CONFLICT, decisionId, first,
                new Reason(isRetry ? "REPLAY" : "IDEMPOTENCY_KEY_REUSED", detail, null, null));
        return true;
    }

    /** The answer to a request whose payment id was used under another key. */
    private boolean usedId(Decision decision, byte[] row) {
        if (row == null) {
            return false;
        }
        ByteBuffer used = ByteBuffer.wrap(row);
        long expiresAt = used.getLong();
        Outcome status = Outcome.values()[used.get()];
        if (expiresAt <= now || status == Outcome.DECLINED) {
            return false;
        }
        String decisionId = Bytes.text(used);
        String detail = "payment_id: used by " + decisionId
                + " under another idempotency key; a retry carries the key of the first attempt";
        answer(decision, Outcome.CONFLICT, decisionId, status, new Reason("PAYMENT_ID_REUSED", detail, null, null));
        return true;
    }

    private static void answer(Decision decision, Outcome outcome, String decisionId, Outcome first, Reason reason) {
        decision.setOutcome(outcome);
        decision.setFirst(new FirstDecision(decisionId, first));
        decision.setReasons(List.of(reason));
    }

    private void write(
            Record<String, PaymentRequested> record, RecordMetadata position, PaymentRequested request, Decision decision) {
        Instant decidedAt = instant(now);
        DecisionEvent event = new DecisionEvent();
        event.setSequence(nextSequence++);
        event.setKind(EventKind.DECISION);
        event.setNow(decidedAt);
        event.setLogicVersion(1);
        event.setMinFoldVersion(1);
        event.setInput(new SourcePosition(position.topic(), position.partition(), position.offset()));
        event.setDecision(decision);
        long timestamp = Math.floorDiv(now, 1000);
        context.forward(new Record<>(request.getDebtorAccount(), event, timestamp), "decided");
        if (decision.getForwarded()) {
            PaymentApproved approved = approved(decision.getPayment(), decision.getDecisionId(), decidedAt);
            context.forward(new Record<>(request.getMerchantId(), approved, timestamp), "approved-out");
        }
        if (decision.getOutcome() == Outcome.CONFLICT) {
            RecordHeaders headers = new RecordHeaders();
            header(headers, "settle.source.topic", position.topic());
            header(headers, "settle.source.partition", Integer.toString(position.partition()));
            header(headers, "settle.source.offset", Long.toString(position.offset()));
            header(headers, "settle.code", decision.getReasons().get(0).getCode());
            header(headers, "settle.reason", decision.getReasons().get(0).getDetail());
            context.forward(new Record<>(record.key(), request, timestamp, headers), "dead-letter");
        }
        meta.put(HEAD, bytes.clear().i64(nextSequence).i64(now).done());
    }

    private static void header(RecordHeaders headers, String name, String value) {
        headers.add(name, value.getBytes(StandardCharsets.UTF_8));
    }

    private byte[] keyRow(
            PaymentRequested request, String decisionId, byte[] fingerprint, Outcome outcome, long expiresAt) {
        return bytes.clear()
                .i64(expiresAt)
                .u8(outcome.ordinal())
                .raw(fingerprint)
                .text(decisionId)
                .text(request.getPaymentId())
                .done();
    }

    /** What follow-ups ask for: amounts, status, and what has been taken from it. */
    private byte[] paymentRow(PaymentRequested request, String decisionId, Outcome outcome, long countedOn) {
        long expiresAt = micros(instant(now).plus(PAYMENT_RETENTION));
        return bytes.clear()
                .i64(expiresAt)
                .u8(outcome.ordinal())
                .text(decisionId)
                .i64(request.getAmountMinor())
                .i64(0)
                .i64(0)
                .i64(countedOn)
                .text(request.getCurrency())
                .text(request.getPaymentMethod())
                .i64(micros(request.getRequestedAt()))
                .done();
    }

    private byte[] fingerprint(PaymentRequested request) {
        bytes.clear().raw(DOMAIN).text(request.getEventType().name()).optional(request.getOriginalPaymentId());
        bytes.i64(request.getAmountMinor()).text(request.getCurrency()).text(request.getPaymentMethod());
        bytes.optional(request.getCard() == null ? null : request.getCard().getToken());
        if (request.getExecuteAt() == null) {
            bytes.u8(0);
        } else {
            bytes.u8(1).i64(micros(request.getExecuteAt()));
        }
        return bytes.blake3();
    }

    private static Payment payment(PaymentRequested request) {
        return new Payment(
                request.getEventType(),
                request.getPaymentId(),
                request.getOriginalPaymentId(),
                request.getIdempotencyKey(),
                request.getDebtorAccount(),
                request.getMerchantId(),
                request.getAmountMinor(),
                request.getCurrency(),
                request.getPaymentMethod(),
                request.getRequestedAt(),
                request.getExecuteAt());
    }

    private static PaymentApproved approved(Payment payment, String decisionId, Instant decidedAt) {
        return new PaymentApproved(
                payment.getEventType(),
                payment.getPaymentId(),
                payment.getOriginalPaymentId(),
                payment.getDebtorAccount(),
                payment.getMerchantId(),
                payment.getAmountMinor(),
                payment.getCurrency(),
                payment.getPaymentMethod(),
                payment.getRequestedAt(),
                decisionId,
                decidedAt);
    }

    static long micros(Instant instant) {
        return Math.addExact(Math.multiplyExact(instant.getEpochSecond(), 1_000_000L), instant.getNano() / 1000);
    }

    static Instant instant(long micros) {
        return Instant.ofEpochSecond(Math.floorDiv(micros, 1_000_000L), Math.floorMod(micros, 1_000_000L) * 1000);
    }
}
