-- Where the tablespaces lie beside the data directory. PostgreSQL 13.
SELECT oid::int AS oid, spcname::text AS name, pg_tablespace_location(oid) AS location
FROM pg_tablespace
WHERE pg_tablespace_location(oid) LIKE '/%'
ORDER BY oid
