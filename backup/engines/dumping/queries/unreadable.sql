-- What pg_dump would stumble over for want of a privilege, some of each kind: it reads every table and sequence that
-- no extension owns, and asks for rows unseen by nobody.
WITH owned AS (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
), ours AS (
    SELECT rolsuper OR rolbypassrls AS sees_all_rows FROM pg_roles WHERE rolname = current_user
), relations AS (
    SELECT c.oid, n.nspname, n.oid AS schema, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S', 'm')
        AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_'
        AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM owned WHERE owned.objid = c.oid)
)
(
    SELECT 'privilege' AS want, nspname AS schema, relname AS name
    FROM relations
    WHERE NOT has_schema_privilege(schema, 'USAGE')
        OR (relkind <> 'S' AND NOT has_table_privilege(oid, 'SELECT'))
        OR (relkind = 'S' AND NOT has_sequence_privilege(oid, 'SELECT'))
    ORDER BY nspname, relname
    LIMIT 5
)
UNION ALL
(
    SELECT 'rows', nspname, relname
    FROM relations, ours
    WHERE relrowsecurity
        AND relkind IN ('r', 'p')
        AND NOT sees_all_rows
        AND (relforcerowsecurity OR NOT pg_has_role(relowner, 'USAGE'))
    ORDER BY nspname, relname
    LIMIT 5
)
