-- What this database wants of a server that it shall live in: roles that own or may do something, extensions, tablespaces.
SELECT 'role' AS kind, r.rolname AS name, NULL AS version
FROM pg_shdepend AS s
JOIN pg_roles AS r ON r.oid = s.refobjid
JOIN pg_database AS d ON d.datname = current_database()
WHERE s.refclassid = 'pg_authid'::regclass
    AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid))
UNION
SELECT 'role', pg_get_userbyid(datdba), NULL FROM pg_database WHERE datname = current_database()
UNION
SELECT 'role', pg_get_userbyid(relowner), NULL
FROM pg_class
WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION
SELECT 'role', pg_get_userbyid(nspowner), NULL FROM pg_namespace WHERE oid >= 16384
UNION
SELECT 'extension', extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'
UNION
SELECT 'tablespace', t.spcname, NULL
FROM pg_class AS c
JOIN pg_tablespace AS t ON t.oid = c.reltablespace
WHERE c.oid >= 16384
ORDER BY kind, name
