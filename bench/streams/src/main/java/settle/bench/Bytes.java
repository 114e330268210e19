package settle.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.commons.codec.digest.Blake3;

/** Rows of the stores, and what is hashed: numbers big-endian, text behind its length. */
final class Bytes {
    private static final char[] HEX = "0123456789abcdef".toCharArray();

    private ByteBuffer buffer = ByteBuffer.allocate(1024);

    /** Begins anew. */
    Bytes clear() {
        buffer.clear();
        return this;
    }

    Bytes u8(int value) {
        room(1).put((byte) value);
        return this;
    }

    Bytes i32(int value) {
        room(4).putInt(value);
        return this;
    }

    Bytes i64(long value) {
        room(8).putLong(value);
        return this;
    }

    Bytes raw(byte[] value) {
        room(value.length).put(value);
        return this;
    }

    Bytes text(String value) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        return i32(bytes.length).raw(bytes);
    }

    Bytes optional(String value) {
        return value == null ? u8(0) : u8(1).text(value);
    }

    byte[] done() {
        byte[] bytes = new byte[buffer.position()];
        buffer.flip();
        buffer.get(bytes);
        return bytes;
    }

    byte[] blake3() {
        byte[] hash = new byte[32];
        Blake3.initHash().update(buffer.array(), 0, buffer.position()).doFinalize(hash);
        return hash;
    }

    private ByteBuffer room(int bytes) {
        if (buffer.remaining() < bytes) {
            ByteBuffer larger = ByteBuffer.allocate(Math.max(buffer.capacity() * 2, buffer.position() + bytes));
            buffer.flip();
            buffer = larger.put(buffer);
        }
        return buffer;
    }

    static String text(ByteBuffer row) {
        byte[] bytes = new byte[row.getInt()];
        row.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static String hex(byte[] bytes) {
        char[] text = new char[bytes.length * 2];
        for (int index = 0; index < bytes.length; index++) {
            text[2 * index] = HEX[(bytes[index] >> 4) & 15];
            text[2 * index + 1] = HEX[bytes[index] & 15];
        }
        return new String(text);
    }
}
