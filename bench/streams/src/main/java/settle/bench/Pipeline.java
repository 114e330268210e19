package settle.bench;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import settle.v1.DecisionEvent;
import settle.v1.LedgerTransaction;
import settle.v1.PaymentApproved;
import settle.v1.PaymentRequested;
import settle.v1.Payout;
import settle.v1.SettlementEvent;

/** Two hops, as in docs/architecture.md: by debtor, then by merchant. */
final class Pipeline {
    static final String REQUESTED = "payments.requested";
    static final String DECIDED = "payments.decided";
    static final String APPROVED = "payments.approved";
    static final String DEAD_LETTER = "payments.dead-letter";
    static final String EVENTS = "settlement.events";
    static final String LEDGER = "ledger.transactions";
    static final String PAYOUTS = "settlement.payouts";

    private Pipeline() {}

    static Topology topology(String stages) {
        Topology topology = new Topology();
        authorize(topology);
        if ("all".equals(stages)) {
            settle(topology);
        }
        return topology;
    }

    private static void authorize(Topology topology) {
        var strings = Serdes.String();
        topology.addSource(
                "requested", strings.deserializer(), new Wire<>(1, new PaymentRequested()), REQUESTED);
        topology.addProcessor("authorize", Authorize::new, "requested");
        // Written once and seldom asked for again: a cache before them would only cost. The day of a debtor and the
        // head of the journal change with each payment: one write for each commit is enough.
        topology.addStateStore(store(Authorize.KEYS, Serdes.ByteArray()), "authorize");
        topology.addStateStore(store(Authorize.PAYMENTS, Serdes.ByteArray()), "authorize");
        topology.addStateStore(store(Authorize.DAYS, Serdes.ByteArray()).withCachingEnabled(), "authorize");
        topology.addStateStore(store(Authorize.META, Serdes.ByteArray()).withCachingEnabled(), "authorize");
        var keys = strings.serializer();
        topology.addSink("decided", DECIDED, keys, new Wire<>(2, new DecisionEvent()), "authorize");
        topology.addSink("approved-out", APPROVED, keys, new Wire<>(3, new PaymentApproved()), "authorize");
        topology.addSink("dead-letter", DEAD_LETTER, keys, new Wire<>(1, new PaymentRequested()), "authorize");
    }

    private static void settle(Topology topology) {
        var strings = Serdes.String();
        topology.addSource(
                "approved-in", strings.deserializer(), new Wire<>(3, new PaymentApproved()), APPROVED);
        topology.addProcessor("settle", Settle::new, "approved-in");
        topology.addStateStore(store(Settle.BOOKED, Serdes.ByteArray()), "settle");
        topology.addStateStore(store(Settle.BATCHES, Serdes.ByteArray()).withCachingEnabled(), "settle");
        topology.addStateStore(store(Settle.BALANCES, Serdes.ByteArray()).withCachingEnabled(), "settle");
        topology.addStateStore(store(Settle.META, Serdes.ByteArray()).withCachingEnabled(), "settle");
        var keys = strings.serializer();
        topology.addSink("events", EVENTS, keys, new Wire<>(5, new SettlementEvent()), "settle");
        topology.addSink("ledger", LEDGER, keys, new Wire<>(6, new LedgerTransaction()), "settle");
        topology.addSink("payouts", PAYOUTS, keys, new Wire<>(7, new Payout()), "settle");
    }

    private static <V> StoreBuilder<KeyValueStore<String, V>> store(String name, Serde<V> values) {
        return org.apache.kafka.streams.state.Stores.keyValueStoreBuilder(
                org.apache.kafka.streams.state.Stores.persistentKeyValueStore(name), Serdes.String(), values);
    }
}
