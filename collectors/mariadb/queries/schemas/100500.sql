-- The schemas that have tables of people's or of the server's own on disk.
SELECT schema_name AS name
FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'sys')
ORDER BY schema_name
