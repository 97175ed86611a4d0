-- Every database that takes connections, and whether the order of its texts may be another here than where it was made.
SELECT datname AS name, datistemplate AS is_template
FROM pg_catalog.pg_database
WHERE datallowconn AND datconnlimit <> -2
ORDER BY datname
