package settle.bench;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.CompressionType;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/** How the stores are tuned: one budget of memory for all of them. */
public final class Stores implements RocksDBConfigSetter {
    private static final Cache CACHE = new LRUCache(192L << 20, -1, false, 0.1);
    private static final WriteBufferManager WRITE_BUFFERS = new WriteBufferManager(128L << 20, CACHE);

    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
        table.setBlockCache(CACHE);
        table.setCacheIndexAndFilterBlocks(true);
        table.setCacheIndexAndFilterBlocksWithHighPriority(true);
        table.setPinTopLevelIndexAndFilter(true);
        table.setBlockSize(8 << 10);
        // Most keys are new: nearly every look ends in the filter.
        table.setFilterPolicy(new BloomFilter(10, false));
        table.setFormatVersion(5);
        options.setTableFormatConfig(table);
        options.setWriteBufferManager(WRITE_BUFFERS);
        options.setWriteBufferSize(16L << 20);
        // There are 64 stores: with blocks of the default size, an eighth of the buffer each, empty ones alone would use up
        // the budget, and every write would flush something.
        options.setArenaBlockSize(128L << 10);
        options.setMaxWriteBufferNumber(3);
        options.setCompressionType(CompressionType.LZ4_COMPRESSION);
        options.setLevelCompactionDynamicLevelBytes(true);
        options.setMaxBackgroundJobs(2);
    }

    @Override
    public void close(String store, Options options) {
        // The cache and the buffers belong to all stores, and live as long as the process.
    }
}
