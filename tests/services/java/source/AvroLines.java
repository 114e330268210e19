import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.tools.api.RecordReader;

/**
 * Lets kafka-console-producer write Avro: each line is a value in Avro's JSON form, which the registry's own
 * serializer turns into bytes. Settings: schema.file, key.field, and those of the serializer.
 */
public final class AvroLines implements RecordReader {
    private final AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>();
    private String topic;
    private String keyField;
    private Schema schema;

    @Override
    public void configure(Map<String, ?> settings) {
        topic = (String) settings.get("topic");
        keyField = (String) settings.get("key.field");
        try {
            schema = new Schema.Parser().parse(Files.readString(Path.of((String) settings.get("schema.file"))));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        serializer.configure(settings, false);
    }

    @Override
    public Iterator<ProducerRecord<byte[], byte[]>> readRecords(InputStream input) {
        BufferedReader lines = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8));
        return lines.lines().map(this::record).iterator();
    }

    private ProducerRecord<byte[], byte[]> record(String line) {
        try {
            GenericRecord value = new GenericDatumReader<GenericRecord>(schema)
                .read(null, DecoderFactory.get().jsonDecoder(schema, line));
            byte[] key = value.get(keyField).toString().getBytes(StandardCharsets.UTF_8);
            return new ProducerRecord<>(topic, key, serializer.serialize(topic, value));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
