-- Toban: every setting that is a number or a switch, with the unit PostgreSQL counts it in; and of the others those
-- that wait for a restart. PostgreSQL 14 and later. Left out is what this session was given for itself
-- (statement_timeout, …): it says nothing of the server.
select name, setting, coalesce(unit, '') as unit, vartype, pending_restart
from pg_settings
where (vartype in ('bool', 'integer', 'real') or pending_restart)
    and source not in ('client', 'session', 'user', 'database', 'database user')
    and name <> 'transaction_read_only'
