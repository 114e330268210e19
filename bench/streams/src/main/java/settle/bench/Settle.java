package settle.bench;

import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import settle.v1.BatchClosed;
import settle.v1.BatchOpened;
import settle.v1.BatchStatus;
import settle.v1.BatchTotals;
import settle.v1.Booking;
import settle.v1.CloseCause;
import settle.v1.Direction;
import settle.v1.Entry;
import settle.v1.EventKind;
import settle.v1.LedgerTransaction;
import settle.v1.PaymentApproved;
import settle.v1.Payout;
import settle.v1.Reason;
import settle.v1.SettlementDecision;
import settle.v1.SettlementEvent;
import settle.v1.SettlementOutcome;
import settle.v1.SourcePosition;

/** Fees, batches, double entry with a hash chain, payouts at the cut-off. */
final class Settle implements Processor<String, PaymentApproved, String, Object> {
    static final String BOOKED = "settle-booked";
    static final String BATCHES = "settle-batches";
    static final String BALANCES = "settle-balances";
    static final String META = "settle-meta";

    private static final ZoneId ZONE = ZoneId.of("Europe/Prague");
    private static final LocalTime CUT_OFF = LocalTime.of(22, 0);
    private static final String HEAD = "head";
    private static final String DOMAIN = "settle.ledger.transaction";
    private static final Map<String, Long> MINIMUM_PAYOUT =
            Map.of("EUR", 1_000L, "CZK", 25_000L, "USD", 1_000L, "GBP", 1_000L, "JPY", 1_500L, "BHD", 4_000L);

    private final Bytes bytes = new Bytes();
    private ProcessorContext<String, Object> context;
    private KeyValueStore<String, byte[]> booked;
    private KeyValueStore<String, byte[]> batches;
    private KeyValueStore<String, byte[]> balances;
    private KeyValueStore<String, byte[]> meta;
    private int partition;
    private long nextSequence;
    private long ledgerSequence;
    private byte[] ledgerHead = new byte[32];
    private long now = Long.MIN_VALUE;
    private long nextCutOff = Long.MAX_VALUE;
    private LocalDate salesDay;
    private long salesDayEnds = Long.MIN_VALUE;

    /** An open batch, or what is carried into the next one. */
    private static final class Batch {
        long salesDay;
        long cutOffAt;
        boolean isOpen;
        long carriedIn;
        long salesCount;
        long salesMinor;
        long feesMinor;
    }

    @Override
    public void init(ProcessorContext<String, Object> given) {
        context = given;
        partition = given.taskId().partition();
        booked = given.getStateStore(BOOKED);
        batches = given.getStateStore(BATCHES);
        balances = given.getStateStore(BALANCES);
        meta = given.getStateStore(META);
        byte[] head = meta.get(HEAD);
        if (head != null) {
            ByteBuffer row = ByteBuffer.wrap(head);
            nextSequence = row.getLong();
            ledgerSequence = row.getLong();
            now = row.getLong();
            nextCutOff = row.getLong();
            row.get(ledgerHead);
        }
    }

    @Override
    public void process(Record<String, PaymentApproved> record) {
        PaymentApproved approved = record.value();
        now = Math.max(now, Authorize.micros(approved.getDecidedAt()));
        if (now >= nextCutOff) {
            closeBatches();
        }
        RecordMetadata position = context.recordMetadata().orElseThrow();
        SettlementEvent event = event(EventKind.DECISION);
        event.setInput(new SourcePosition(position.topic(), position.partition(), position.offset()));
        book(approved, event);
        write(approved.getMerchantId(), event);
    }

    private void book(PaymentApproved approved, SettlementEvent event) {
        String bookedKey = approved.getMerchantId() + '\0' + approved.getPaymentId();
        if (booked.get(bookedKey) != null) {
            Reason reason = new Reason("PAYMENT_ID_REUSED", "payment_id: booked for this merchant", null, null);
            event.setDecision(new SettlementDecision(SettlementOutcome.REFUSED, approved, List.of(reason), null));
            return;
        }
        long fee = Fees.of(
                approved.getMerchantId(), approved.getPaymentMethod(), approved.getCurrency(), approved.getAmountMinor());
        String batchKey = approved.getMerchantId() + '\0' + approved.getCurrency();
        Batch batch = batch(batches.get(batchKey));
        LocalDate ownDay = salesDay(Authorize.micros(approved.getDecidedAt()));
        String lateFor = null;
        if (!batch.isOpen) {
            batch.isOpen = true;
            batch.salesDay = salesDay(now).toEpochDay();
            batch.cutOffAt = cutOff(salesDay(now));
            nextCutOff = Math.min(nextCutOff, batch.cutOffAt);
            event.setBatchOpened(new BatchOpened(
                    batchId(approved.getMerchantId(), approved.getCurrency(), batch.salesDay),
                    approved.getMerchantId(),
                    approved.getCurrency(),
                    LocalDate.ofEpochDay(batch.salesDay),
                    Authorize.instant(batch.cutOffAt),
                    batch.carriedIn));
        }
        if (ownDay.toEpochDay() < batch.salesDay) {
            lateFor = batchId(approved.getMerchantId(), approved.getCurrency(), ownDay.toEpochDay());
        }
        String batchId = batchId(approved.getMerchantId(), approved.getCurrency(), batch.salesDay);
        batch.salesCount += 1;
        batch.salesMinor = Math.addExact(batch.salesMinor, approved.getAmountMinor());
        batch.feesMinor = Math.addExact(batch.feesMinor, fee);
        batches.put(batchKey, row(batch));
        booked.put(bookedKey, bookedRow(approved, fee, batch.salesDay));
        String currency = approved.getCurrency();
        String receivable = "scheme:" + approved.getPaymentMethod() + ":receivable";
        String payable = "merchant:" + approved.getMerchantId() + ":payable";
        List<Entry> entries = new ArrayList<>(4);
        post(entries, receivable, payable, approved.getAmountMinor(), currency);
        post(entries, payable, "revenue:fees", fee, currency);
        Booking booking = new Booking(batchId, LocalDate.ofEpochDay(batch.salesDay), lateFor, fee);
        event.setDecision(new SettlementDecision(SettlementOutcome.BOOKED, approved, List.of(), booking));
        event.setLedger(
                seal("SALE", approved.getDecidedAt(), batchId, approved.getDecisionId(), entries));
    }

    private void closeBatches() {
        List<KeyValue<String, byte[]>> due = new ArrayList<>();
        long following = Long.MAX_VALUE;
        try (KeyValueIterator<String, byte[]> rows = batches.all()) {
            while (rows.hasNext()) {
                KeyValue<String, byte[]> row = rows.next();
                Batch batch = batch(row.value);
                if (batch.isOpen && batch.cutOffAt <= now) {
                    due.add(row);
                } else if (batch.isOpen) {
                    following = Math.min(following, batch.cutOffAt);
                }
            }
        }
        for (KeyValue<String, byte[]> row : due) {
            close(row.key, batch(row.value));
        }
        nextCutOff = following;
    }

    private void close(String key, Batch batch) {
        String merchant = key.substring(0, key.indexOf('\0'));
        String currency = key.substring(key.indexOf('\0') + 1);
        String batchId = batchId(merchant, currency, batch.salesDay);
        long net = batch.salesMinor - batch.feesMinor + batch.carriedIn;
        long minimum = merchant.equals("m-0001") ? 1 : MINIMUM_PAYOUT.getOrDefault(currency, 1L);
        long payoutMinor = net >= Math.max(minimum, 1) ? net : 0;
        SettlementEvent event = event(EventKind.TICK);
        Instant at = Authorize.instant(Math.min(batch.cutOffAt, now));
        Payout payout = null;
        if (payoutMinor > 0) {
            payout = new Payout(
                    "payout:" + batchId, batchId, merchant, payoutMinor, currency, valueDate(batch.salesDay), event.getNow());
            String payable = "merchant:" + merchant + ":payable";
            List<Entry> entries = new ArrayList<>(2);
            post(entries, payable, "merchant:" + merchant + ":in-transit", payoutMinor, currency);
            event.setLedger(seal("BATCH_CLOSE", at, batchId, null, entries));
        }
        BatchTotals totals = new BatchTotals(
                batch.salesCount, batch.salesMinor, batch.feesMinor, 0L, 0L, 0L, 0L, 0L, 0L, 0L, batch.carriedIn);
        event.setBatchClosed(new BatchClosed(
                batchId,
                merchant,
                currency,
                LocalDate.ofEpochDay(batch.salesDay),
                CloseCause.CUT_OFF,
                payout == null ? BatchStatus.CARRIED : BatchStatus.AWAITING_SETTLEMENT,
                totals,
                0L,
                null,
                net - payoutMinor,
                payout));
        Batch next = new Batch();
        next.carriedIn = net - payoutMinor;
        batches.put(key, row(next));
        write(merchant, event);
        if (payout != null) {
            context.forward(new Record<>(merchant, payout, Math.floorDiv(now, 1000)), "payouts");
        }
    }

    private SettlementEvent event(EventKind kind) {
        SettlementEvent event = new SettlementEvent();
        event.setSequence(nextSequence++);
        event.setKind(kind);
        event.setNow(Authorize.instant(now));
        event.setLogicVersion(1);
        event.setMinFoldVersion(1);
        return event;
    }

    private void write(String merchant, SettlementEvent event) {
        long timestamp = Math.floorDiv(now, 1000);
        context.forward(new Record<>(merchant, event, timestamp), "events");
        if (event.getLedger() != null) {
            context.forward(new Record<>(merchant, event.getLedger(), timestamp), "ledger");
        }
        bytes.clear().i64(nextSequence).i64(ledgerSequence).i64(now).i64(nextCutOff).raw(ledgerHead);
        meta.put(HEAD, bytes.done());
    }

    /** A row of the posting table: both sides, and both balances. */
    private void post(List<Entry> entries, String debit, String credit, long amount, String currency) {
        if (amount == 0) {
            return;
        }
        entries.add(new Entry(debit, Direction.DEBIT, amount, currency));
        entries.add(new Entry(credit, Direction.CREDIT, amount, currency));
        add(debit, currency, amount);
        add(credit, currency, -amount);
    }

    private void add(String account, String currency, long amount) {
        String key = account + '\0' + currency;
        byte[] row = balances.get(key);
        long balance = row == null ? 0 : ByteBuffer.wrap(row).getLong();
        balances.put(key, bytes.clear().i64(Math.addExact(balance, amount)).done());
    }

    /** Gives a transaction its place in the chain: docs/ledger.md. */
    private LedgerTransaction seal(String posting, Instant effectiveAt, String batchId, String decisionId, List<Entry> entries) {
        String id = partition + "-" + ledgerSequence;
        bytes.clear().text(DOMAIN).i32(1).text(id).i64(ledgerSequence).text(posting);
        bytes.i64(Authorize.micros(effectiveAt)).i64(now).text(batchId).optional(decisionId).i32(entries.size());
        for (Entry entry : entries) {
            bytes.text(entry.getAccount()).u8(entry.getDirection() == Direction.DEBIT ? 1 : 2);
            bytes.i64(entry.getAmountMinor()).text(entry.getCurrency());
        }
        bytes.raw(ledgerHead);
        byte[] hash = bytes.blake3();
        LedgerTransaction transaction = new LedgerTransaction();
        transaction.setTransactionId(id);
        transaction.setSequence(ledgerSequence);
        transaction.setEncodingVersion(1);
        transaction.setPosting(posting);
        transaction.setEffectiveAt(effectiveAt);
        transaction.setRecordedAt(Authorize.instant(now));
        transaction.setBatchId(batchId);
        transaction.setDecisionId(decisionId);
        transaction.setEntries(entries);
        transaction.setPrevHash(Bytes.hex(ledgerHead));
        transaction.setHash(Bytes.hex(hash));
        ledgerHead = hash;
        ledgerSequence += 1;
        return transaction;
    }

    private byte[] bookedRow(PaymentApproved approved, long fee, long salesDay) {
        return bytes.clear()
                .text(approved.getDecisionId())
                .text(approved.getDebtorAccount())
                .i64(approved.getAmountMinor())
                .i64(fee)
                .i64(0)
                .i64(0)
                .i64(salesDay)
                .text(approved.getCurrency())
                .text(approved.getPaymentMethod())
                .i64(Authorize.micros(approved.getDecidedAt()))
                .done();
    }

    private byte[] row(Batch batch) {
        return bytes.clear()
                .i64(batch.salesDay)
                .i64(batch.cutOffAt)
                .u8(batch.isOpen ? 1 : 0)
                .i64(batch.carriedIn)
                .i64(batch.salesCount)
                .i64(batch.salesMinor)
                .i64(batch.feesMinor)
                .done();
    }

    private static Batch batch(byte[] row) {
        Batch batch = new Batch();
        if (row != null) {
            ByteBuffer found = ByteBuffer.wrap(row);
            batch.salesDay = found.getLong();
            batch.cutOffAt = found.getLong();
            batch.isOpen = found.get() == 1;
            batch.carriedIn = found.getLong();
            batch.salesCount = found.getLong();
            batch.salesMinor = found.getLong();
            batch.feesMinor = found.getLong();
        }
        return batch;
    }

    private static String batchId(String merchant, String currency, long salesDay) {
        return merchant + ":" + currency + ":" + LocalDate.ofEpochDay(salesDay);
    }

    /** A sale after the cut-off counts for the next day. The day that was found last is kept: it is nearly always it. */
    private LocalDate salesDay(long micros) {
        if (salesDay != null && micros < salesDayEnds && micros >= salesDayEnds - 82_800_000_000L) {
            return salesDay;
        }
        LocalDate day = Authorize.instant(micros).atZone(ZONE).toLocalDate();
        while (micros >= cutOff(day)) {
            day = day.plusDays(1);
        }
        salesDay = day;
        salesDayEnds = cutOff(day);
        return day;
    }

    private static long cutOff(LocalDate day) {
        return Authorize.micros(day.atTime(CUT_OFF).atZone(ZONE).toInstant());
    }

    /** The next day that is no weekend. */
    private static LocalDate valueDate(long salesDay) {
        LocalDate day = LocalDate.ofEpochDay(salesDay).plusDays(1);
        while (day.getDayOfWeek().getValue() > 5) {
            day = day.plusDays(1);
        }
        return day;
    }
}
