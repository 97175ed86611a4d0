-- What pg_dump would stumble over for want of a privilege, some of each kind: it reads every table and sequence that
-- no extension owns, asks for rows unseen by nobody, and reads every large object, for which pg_read_all_data is no key.
WITH owned AS (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
), ours AS (
    SELECT rolsuper, rolsuper OR rolbypassrls AS sees_all_rows FROM pg_roles WHERE rolname = current_user
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
UNION ALL
(
    SELECT 'object', '', l.oid::text
    FROM pg_largeobject_metadata AS l, ours
    WHERE NOT rolsuper
        AND current_setting('lo_compat_privileges')::boolean IS FALSE
        AND NOT pg_has_role(l.lomowner, 'USAGE')
        AND NOT EXISTS (
            SELECT
            FROM aclexplode(l.lomacl) AS acl
            WHERE acl.privilege_type = 'SELECT' AND (acl.grantee = 0 OR pg_has_role(acl.grantee, 'USAGE'))
        )
    ORDER BY l.oid
    LIMIT 5
)
