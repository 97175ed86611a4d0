-- Commands that tell how far they have come, the longest at work first, $1 of them. One look at six views, which are
-- functions over shared memory. Names of relations can be had for the database that we are in; else the oid. A role
-- without pg_read_all_stats sees of others' commands that they run. 14 to 16: of its indexes vacuum tells nothing.
with work as (
    select
        pid, datname, datid, relid, 'vacuum' as command, phase,
        case
            when phase = 'scanning heap' then array[heap_blks_scanned, heap_blks_total]
            when phase = 'vacuuming heap' then array[heap_blks_vacuumed, heap_blks_total]
        end as way,
        case when phase like '%heap' then 'blocks' else 'indexes' end as unit
    from pg_stat_progress_vacuum
    union all
    select
        pid, datname, datid, relid, 'analyze', phase,
        case
            when phase = 'acquiring sample rows' then array[sample_blks_scanned, sample_blks_total]
            when phase like '%inherited%' then array[child_tables_done, child_tables_total]
        end,
        case when phase like '%inherited%' then 'partitions' else 'blocks' end
    from pg_stat_progress_analyze
    union all
    select
        pid, datname, datid, relid, coalesce(lower(command), 'create index'), phase,
        case
            when phase like 'waiting for%' then array[lockers_done, lockers_total]
            when phase like '%tuples%' then array[tuples_done, tuples_total]
            else array[blocks_done, blocks_total]
        end,
        case when phase like 'waiting for%' then 'lockers' when phase like '%tuples%' then 'tuples' else 'blocks' end
    from pg_stat_progress_create_index
    union all
    select
        pid, datname, datid, relid, coalesce(lower(command), 'cluster'), phase,
        case when phase = 'seq scanning heap' then array[heap_blks_scanned, heap_blks_total] end,
        'blocks'
    from pg_stat_progress_cluster
    union all
    select
        pid, null, null, null, 'basebackup', phase,
        case when phase = 'streaming database files' then array[backup_streamed, backup_total] end,
        'bytes'
    from pg_stat_progress_basebackup
    union all
    select
        pid, datname, datid, relid, 'copy', substr(lower(command), 6) || ' ' || lower(type),
        array[bytes_processed, bytes_total], 'bytes'
    from pg_stat_progress_copy
)
select
    w.command,
    w.pid,
    coalesce(w.datname, '')::text as datname,
    coalesce(n.nspname || '.' || c.relname, nullif(w.relid, 0)::text, '') as relname,
    coalesce(w.phase, '') as phase,
    w.phase is null as hidden,
    w.way[1]::float8 as done,
    nullif(w.way[2], 0)::float8 as total,
    w.unit,
    case
        when a.backend_start is not null
            then greatest(extract(epoch from now() - coalesce(a.query_start, a.backend_start)), 0)
    end::float8 as seconds,
    coalesce(pg_get_userbyid(a.usesysid), '')::text as usename,
    coalesce(a.backend_type = 'autovacuum worker', false) as autovacuum
from work w
left join lateral pg_stat_get_activity(w.pid) a on true
left join pg_class c on c.oid = w.relid and w.datid = (select oid from pg_database where datname = current_database())
left join pg_namespace n on n.oid = c.relnamespace
order by seconds desc nulls last, w.pid
limit $1::int8
