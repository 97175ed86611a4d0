-- Toban: the databases whose size is asked for, one after the other. PostgreSQL 14 and later.
select oid::int8 as oid, datname::text as datname
from pg_database
where not datistemplate
order by datname
