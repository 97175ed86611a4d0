-- The same for extension 1.8, which knows neither resets nor evictions.
select
    extract(epoch from clock_timestamp())::float8 as taken_at,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    null::float8 as reset_at,
    null::bigint as dealloc
