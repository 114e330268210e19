package settle.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** Records in Avro with the header of the wire format: a zero and the schema's id. All threads share one. */
final class Wire<T extends SpecificRecordBase> implements Serializer<T>, Deserializer<T> {
    private static final int HEADER_BYTES = 5;

    private final int schemaId;
    private final ThreadLocal<Codec<T>> codecs;

    Wire(int schemaId, T example) {
        this.schemaId = schemaId;
        this.codecs = ThreadLocal.withInitial(() -> new Codec<>(example));
    }

    /** What one thread works with. */
    private static final class Codec<T extends SpecificRecordBase> {
        private final SpecificDatumReader<T> reader;
        private final SpecificDatumWriter<T> writer;
        private final ByteArrayOutputStream output = new ByteArrayOutputStream(1024);
        private BinaryEncoder encoder;
        private BinaryDecoder decoder;

        Codec(T example) {
            SpecificData model = example.getSpecificData();
            reader = new SpecificDatumReader<>(example.getSchema(), example.getSchema(), model);
            writer = new SpecificDatumWriter<>(example.getSchema(), model);
        }
    }

    @Override
    public byte[] serialize(String topic, T record) {
        if (record == null) {
            return null;
        }
        Codec<T> codec = codecs.get();
        try {
            ByteArrayOutputStream output = codec.output;
            output.reset();
            output.write(0);
            output.write(schemaId >>> 24);
            output.write(schemaId >>> 16);
            output.write(schemaId >>> 8);
            output.write(schemaId);
            codec.encoder = EncoderFactory.get().binaryEncoder(output, codec.encoder);
            codec.writer.write(record, codec.encoder);
            codec.encoder.flush();
            return output.toByteArray();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public T deserialize(String topic, byte[] bytes) {
        if (bytes == null || bytes.length < HEADER_BYTES || bytes[0] != 0) {
            throw new IllegalArgumentException(topic + ": not in the wire format");
        }
        int found = ByteBuffer.wrap(bytes, 1, 4).getInt();
        if (found != schemaId) {
            throw new IllegalArgumentException(topic + ": schema " + found + ", " + schemaId + " was expected");
        }
        Codec<T> codec = codecs.get();
        try {
            codec.decoder = DecoderFactory.get()
                    .binaryDecoder(bytes, HEADER_BYTES, bytes.length - HEADER_BYTES, codec.decoder);
            return codec.reader.read(null, codec.decoder);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {
        // There is nothing to choose.
    }

    @Override
    public void close() {
        // Holds nothing.
    }
}
