-- When the counters were last reset, and how often rows were evicted, by the server's own clock; for extension 1.9 and later.
select
    extract(epoch from clock_timestamp())::float8 as taken_at,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    extract(epoch from stats_reset)::float8 as reset_at,
    dealloc
from @schema@.pg_stat_statements_info
