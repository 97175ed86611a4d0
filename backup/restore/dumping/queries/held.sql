-- How much of somebody's own is in this database: nothing in a new one, or in what initdb leaves.
SELECT
    (
        SELECT count(*)
        FROM pg_class AS c
        WHERE c.oid >= 16384
            AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
            AND c.relpersistence <> 't'
            AND NOT EXISTS (
                SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
            )
    ) + (
        SELECT count(*)
        FROM pg_proc AS p
        WHERE p.oid >= 16384
            AND NOT EXISTS (
                SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
            )
    ) + (
        SELECT count(*)
        FROM pg_type AS t
        WHERE t.oid >= 16384
            AND t.typtype IN ('d', 'e', 'r')
            AND NOT EXISTS (
                SELECT FROM pg_depend AS d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
            )
    ) + (SELECT count(*) FROM pg_largeobject_metadata) + (
        SELECT count(*) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_'
    ) AS held
