-- Toban: what a server has for backups by the role $1, beside what watching takes. PostgreSQL 14 and later.
select
    coalesce(r.rolreplication, false) as replicates,
    coalesce(pg_has_role(r.oid, 'pg_read_all_data', 'usage'), false) as reads_all,
    coalesce(r.rolbypassrls, false) as passes_rows,
    current_setting('wal_level') <> 'minimal'
    and current_setting('max_wal_senders')::int > 0
    and current_setting('max_replication_slots')::int > 0 as enough,
    current_setting('max_slot_wal_keep_size') <> '-1' as slots_bounded
from (values (0)) as one
left join pg_roles as r on r.rolname = $1
