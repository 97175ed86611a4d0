-- Toban: every setting that this role may see, with the unit PostgreSQL counts it in and as SHOW writes it.
-- PostgreSQL 14 and later. Left out is what this session was given for itself (as statement_timeout): it says nothing
-- of the server. `fixed` is what nobody sets: it only tells how the server was built or where it stands. A value that
-- the server works out for itself (wal_buffers and others) is shown as what was set, which is to work it out.
select
    name,
    setting,
    coalesce(unit, '') as unit,
    vartype,
    pending_restart,
    case
        when vartype = 'integer' and source = 'default' and boot_val in ('-1', '0') then boot_val
        else coalesce(current_setting(name, true), '')
    end as shown,
    context = 'internal' or source = 'override' as fixed,
    (
        select
            has_table_privilege('pg_catalog.pg_file_settings', 'select')
            and has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'execute')
    ) as sees_files
from pg_settings
where source not in ('client', 'session', 'user', 'database', 'database user')
    and name not in ('transaction_read_only', 'transaction_isolation', 'transaction_deferrable')
