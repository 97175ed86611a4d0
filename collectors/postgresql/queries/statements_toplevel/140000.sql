-- Every statement's counters, without its text, for extension 1.9 and 1.10; 1.9 came with 14.
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
    0::float8 as since
from @schema@.pg_stat_statements(false)
