-- Toban: the roles that may do more than others, and those whose password has ended; PostgreSQL's own pg_* roles are
-- left out. At most $1 rows of roles worth naming, with the counts of all beside each. PostgreSQL 14 and later.
select
    counted.*,
    named.rolname,
    named.rolsuper,
    named.rolbypassrls,
    named.rolreplication,
    named.expired,
    named.rolcanlogin
from (
    select
        count(*) filter (where rolsuper) as superuser,
        count(*) filter (where rolbypassrls) as bypassrls,
        count(*) filter (where rolreplication) as replication,
        count(*) filter (where rolcreaterole) as createrole,
        count(*) filter (where rolcanlogin and coalesce(rolvaliduntil, 'infinity') = 'infinity') as no_expiry,
        count(*) filter (where rolcanlogin and rolvaliduntil < now()) as expired_count
    from pg_roles
    where rolname !~ '^pg_'
) as counted
left join (
    select rolname, rolsuper, rolbypassrls, rolreplication, rolcanlogin,
        rolcanlogin and coalesce(rolvaliduntil < now(), false) as expired
    from pg_roles
    where rolname !~ '^pg_' and oid <> 10 -- the first one, which every server has
        and (rolsuper or rolbypassrls or rolreplication or (rolcanlogin and rolvaliduntil < now()))
    order by rolname
    limit $1
) as named on true
