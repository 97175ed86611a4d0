-- Toban: the settings that advice can be given on, with their bounds and where each comes from; and what else decides:
-- the version, whether this is a standby, and where the data lies. PostgreSQL 14 and later.
select
    name,
    setting,
    coalesce(unit, '') as unit,
    vartype,
    source,
    context,
    min_val::float8 as minimum,
    max_val::float8 as maximum,
    pending_restart,
    coalesce(current_setting(name, true), '') as shown
from pg_settings
where name = any($1::text[])
