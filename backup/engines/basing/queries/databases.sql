-- Which databases come along. PostgreSQL 13.
SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname
