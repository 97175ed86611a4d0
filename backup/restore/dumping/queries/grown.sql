-- How large a database has become so far; nothing where it is not there.
SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1
