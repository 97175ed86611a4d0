-- Every statement's counters, without its text, for extension 1.8: a server upgraded past 13 whose extension was not.
select
    userid,
    dbid,
    queryid,
    true as toplevel,
    calls,
    total_exec_time / 1000 as seconds,
    rows,
    shared_blks_hit,
    shared_blks_read,
    temp_blks_read + temp_blks_written as temp_blks,
    0::float8 as since
from @schema@.pg_stat_statements(false)
