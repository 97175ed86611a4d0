-- The names behind the numbers of some databases and roles: of the latter a server may have a hundred thousand. From 14 on.
select oid, datname as name, true as is_database from pg_database where oid = any($1::oid[])
union all
select oid, rolname, false from pg_roles where oid = any($2::oid[])
