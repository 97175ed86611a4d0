-- What is on the server by name: what a dump wants of it, and what must not be in its way.
SELECT 'database' AS kind, datname AS name, NULL AS version FROM pg_database
UNION ALL
SELECT 'role', rolname, NULL FROM pg_roles
UNION ALL
SELECT 'tablespace', spcname, NULL FROM pg_tablespace
UNION ALL
SELECT 'extension', name, default_version FROM pg_available_extensions
UNION ALL
SELECT 'locale', datcollate, NULL FROM pg_database
UNION ALL
SELECT 'locale', datctype, NULL FROM pg_database
UNION ALL
SELECT 'locale', collcollate, NULL FROM pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL
UNION ALL
SELECT DISTINCT 'provider', collprovider::text, NULL FROM pg_collation
