-- Toban: the databases whose size is asked for, one after the other, and where they all lie: that is hidden (null) from
-- a role without pg_read_all_settings. PostgreSQL 14 and later.
select
    oid::int8 as oid,
    datname::text as datname,
    (select setting from pg_settings where name = 'data_directory') as data_directory
from pg_database
where not datistemplate
order by datname
