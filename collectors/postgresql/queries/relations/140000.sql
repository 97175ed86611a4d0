-- The largest relations of this database ($1 of them) with their statistics and sizes, and what the others come to.
-- Chosen by the pages that the catalogue knows of: only the chosen are measured. pg_table_size and pg_indexes_size lock
-- what they measure, so a relation is not measured when somebody holds or awaits an ACCESS EXCLUSIVE lock on it, on one of
-- its indexes, its TOAST table or a parent. Statistics come from functions that lock nothing; pg_stat_user_tables would
-- first group all indexes of the database. From 14 on.
with sized as materialized (
    select
        c.oid, c.relname, c.relnamespace, c.reltoastrelid, c.relpages,
        greatest(c.relpages, 0)::bigint + greatest(coalesce(t.relpages, 0), 0) as pages
    from pg_class c
    left join pg_class t on t.oid = c.reltoastrelid
    where c.relkind in ('r', 'm', 'p')
        and c.relpersistence <> 't'
        and c.relnamespace not in (
            select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema', 'pg_toast')
        )
), chosen as materialized (
    select * from sized order by pages desc, oid limit $1
), locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database in (0, (select oid from pg_database where datname = current_database()))
), measured as (
    select
        c.oid, c.reltoastrelid, n.nspname as schemaname, c.relname, i.idx_scan, i.idx_tup_fetch,
        exists (select from locked where relation in (c.oid, c.reltoastrelid))
            or exists (
                select from pg_index x join locked l on l.relation = x.indexrelid
                where x.indrelid in (c.oid, c.reltoastrelid)
            )
            or exists (select from pg_inherits h join locked l on l.relation = h.inhparent where h.inhrelid = c.oid)
            as locked
    from chosen c
    join pg_namespace n on n.oid = c.relnamespace
    left join lateral (
        select
            sum(pg_stat_get_numscans(indexrelid)) as idx_scan,
            sum(pg_stat_get_tuples_fetched(indexrelid)) as idx_tup_fetch
        from pg_index
        where indrelid = c.oid
    ) i on true
)
select
    oid::int8 as oid,
    schemaname,
    relname,
    locked,
    null::bigint as others,
    pg_stat_get_numscans(oid) as seq_scan,
    pg_stat_get_tuples_returned(oid) as seq_tup_read,
    idx_scan::bigint,
    (idx_tup_fetch + pg_stat_get_tuples_fetched(oid))::bigint as idx_tup_fetch,
    pg_stat_get_tuples_inserted(oid) as n_tup_ins,
    pg_stat_get_tuples_updated(oid) as n_tup_upd,
    pg_stat_get_tuples_hot_updated(oid) as n_tup_hot_upd,
    pg_stat_get_tuples_deleted(oid) as n_tup_del,
    pg_stat_get_live_tuples(oid) as n_live_tup,
    pg_stat_get_dead_tuples(oid) as n_dead_tup,
    pg_stat_get_mod_since_analyze(oid) as n_mod_since_analyze,
    coalesce(extract(epoch from pg_stat_get_last_vacuum_time(oid)), 0)::float8 as last_vacuum,
    coalesce(extract(epoch from pg_stat_get_last_autovacuum_time(oid)), 0)::float8 as last_autovacuum,
    coalesce(extract(epoch from pg_stat_get_last_analyze_time(oid)), 0)::float8 as last_analyze,
    coalesce(extract(epoch from pg_stat_get_last_autoanalyze_time(oid)), 0)::float8 as last_autoanalyze,
    pg_stat_get_vacuum_count(oid) as vacuum_count,
    pg_stat_get_autovacuum_count(oid) as autovacuum_count,
    pg_stat_get_analyze_count(oid) as analyze_count,
    pg_stat_get_autoanalyze_count(oid) as autoanalyze_count,
    extract(epoch from now() - greatest(
        pg_stat_get_last_vacuum_time(oid), pg_stat_get_last_autovacuum_time(oid)
    ))::float8 as vacuum_age,
    extract(epoch from now() - greatest(
        pg_stat_get_last_analyze_time(oid), pg_stat_get_last_autoanalyze_time(oid)
    ))::float8 as analyze_age,
    pg_stat_get_blocks_hit(oid) + coalesce(pg_stat_get_blocks_hit(nullif(reltoastrelid, 0)), 0) as blks_hit,
    pg_stat_get_blocks_fetched(oid) + coalesce(pg_stat_get_blocks_fetched(nullif(reltoastrelid, 0)), 0) as blks_fetched,
    extract(epoch from pg_stat_get_db_stat_reset_time(
        (select oid from pg_database where datname = current_database())
    ))::float8 as counted_since,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    case when not locked then pg_relation_size(oid) end as heap_bytes,
    case when not locked then pg_total_relation_size(nullif(reltoastrelid, 0)) end as toast_bytes,
    case when not locked then pg_table_size(oid) end as table_size_bytes,
    case when not locked then pg_indexes_size(oid) end as index_size_bytes
from measured
union all
select
    null, '', 'other', false, count(*),
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null,
    coalesce(sum(greatest(relpages, 0)), 0)::bigint * current_setting('block_size')::bigint,
    (coalesce(sum(pages), 0) - coalesce(sum(greatest(relpages, 0)), 0))::bigint
        * current_setting('block_size')::bigint,
    coalesce(sum(pages), 0)::bigint * current_setting('block_size')::bigint,
    (
        select coalesce(sum(x.relpages), 0)::bigint * current_setting('block_size')::bigint
        from pg_index i join pg_class x on x.oid = i.indexrelid
        where i.indrelid in (select oid from sized except select oid from chosen)
    )
from sized
where oid not in (select oid from chosen)
having count(*) > 0
