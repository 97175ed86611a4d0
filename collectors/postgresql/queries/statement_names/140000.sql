-- The names behind the numbers of databases and roles. From 14 on.
select oid, datname as name, true as is_database from pg_database
union all
select oid, rolname, false from pg_roles
