-- Every statement's counters, without its text: the file of texts is not read. Not aggregated, so that the eviction of one
-- row is seen as such. For extension 1.11 and later, which know since when a row counts; it came with 17.
select
    userid,
    dbid,
    queryid,
    toplevel,
    calls,
    total_exec_time / 1000 as seconds,
    rows,
    shared_blks_hit,
    shared_blks_read,
    temp_blks_read + temp_blks_written as temp_blks,
    extract(epoch from stats_since)::float8 as since
from @schema@.pg_stat_statements(false)
