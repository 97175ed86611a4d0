-- What this database wants of a server that it shall live in: roles that own or may do something or have settings
-- here, extensions, tablespaces. The catalogue of dependencies does not tell of the role that initdb made, so owners
-- are asked for themselves. What an extension made is made by it again, whoever owned it.
WITH here AS (
    SELECT oid, datdba FROM pg_database WHERE datname = current_database()
), extended AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), owned AS (
    SELECT 'pg_class'::regclass AS class, oid, relowner AS owner
    FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND relpersistence <> 't'
    UNION ALL
    SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
    UNION ALL
    SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
    UNION ALL
    SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
    UNION ALL
    SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
    UNION ALL
    SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
    UNION ALL
    SELECT 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
    UNION ALL
    SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
    UNION ALL
    SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
)
SELECT 'role' AS kind, r.rolname AS name, NULL AS version
FROM pg_shdepend AS s
JOIN here ON s.dbid = here.oid OR (s.classid = 'pg_database'::regclass AND s.objid = here.oid)
JOIN pg_roles AS r ON r.oid = s.refobjid
WHERE s.refclassid = 'pg_authid'::regclass
    AND NOT (s.deptype = 'o' AND EXISTS (
        SELECT FROM extended WHERE extended.classid = s.classid AND extended.objid = s.objid
    ))
UNION
SELECT 'role', pg_get_userbyid(datdba), NULL FROM here
UNION
SELECT 'role', pg_get_userbyid(owner), NULL
FROM owned
WHERE oid >= 16384
    AND NOT EXISTS (SELECT FROM extended WHERE extended.classid = owned.class AND extended.objid = owned.oid)
UNION
SELECT 'role', pg_get_userbyid(s.setrole), NULL
FROM pg_db_role_setting AS s
JOIN here ON s.setdatabase = here.oid
WHERE s.setrole <> 0
UNION
SELECT 'extension', extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'
UNION
SELECT 'tablespace', t.spcname, NULL
FROM pg_class AS c
JOIN pg_tablespace AS t ON t.oid = c.reltablespace
WHERE c.oid >= 16384 AND c.relpersistence <> 't'
ORDER BY kind, name
