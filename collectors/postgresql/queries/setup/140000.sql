-- Toban: what a server has of all that `toban setup postgresql` would give the role $1. PostgreSQL 14 and later.
select
    $1::text as role,
    r.oid is not null as role_exists,
    coalesce(r.rolcanlogin, false) as can_login,
    coalesce(r.rolsuper, false) as role_is_superuser,
    coalesce(r.rolconnlimit, -1) as connection_limit,
    coalesce(pg_has_role(r.oid, 'pg_monitor', 'usage'), false) as monitors,
    (
        select to_json(s.setconfig)
        from pg_db_role_setting as s
        where s.setrole = r.oid and s.setdatabase = 0
    )::text as role_settings,
    (
        select json_agg(d.datname order by d.datname)
        from pg_database as d
        where d.datallowconn and not d.datistemplate
            and not coalesce(
                has_database_privilege(r.oid, d.oid, 'connect'), has_database_privilege('public', d.oid, 'connect')
            )
    )::text as closed_databases,
    current_database()::text as database,
    pg_is_in_recovery() as standby,
    (select a.default_version from pg_available_extensions as a where a.name = 'pg_stat_statements')::text as available,
    e.extversion::text as installed,
    n.nspname::text as extension_schema,
    coalesce(
        has_schema_privilege(r.oid, n.oid, 'usage'), has_schema_privilege('public', n.oid, 'usage'), true
    ) as schema_open,
    current_setting('track_io_timing')::bool as io_timing,
    preload.setting as preloaded, -- null: not to be seen without pg_read_all_settings
    coalesce(preload.pending_restart, false) as preload_pending,
    has_table_privilege('pg_catalog.pg_file_settings', 'select') as sees_files,
    coalesce(has_table_privilege(r.oid, 'pg_catalog.pg_hba_file_rules', 'select'), false) as sees_hba,
    coalesce(has_function_privilege(r.oid, 'pg_catalog.pg_hba_file_rules()', 'execute'), false) as calls_hba
from (values (0)) as one
left join pg_roles as r on r.rolname = $1
left join pg_extension as e on e.extname = 'pg_stat_statements'
left join pg_namespace as n on n.oid = e.extnamespace
left join pg_settings as preload on preload.name = 'shared_preload_libraries'
