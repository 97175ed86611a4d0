-- Reads and writes by who does them, on what, and why; what never happened is left out. 16 and 17 count in blocks of
-- op_bytes. One read of shared memory.
select
    backend_type,
    object,
    context,
    reads, writes, writebacks, extends, hits, evictions, reuses, fsyncs,
    reads * op_bytes as read_bytes,
    writes * op_bytes as write_bytes,
    extends * op_bytes as extend_bytes,
    read_time / 1000 as read_seconds,
    write_time / 1000 as write_seconds,
    writeback_time / 1000 as writeback_seconds,
    extend_time / 1000 as extend_seconds,
    fsync_time / 1000 as fsync_seconds
from pg_stat_io
where greatest(reads, writes, writebacks, extends, hits, evictions, reuses, fsyncs) > 0
