-- Toban: the size of one database on disk; null or an error when it was dropped a moment ago. PostgreSQL 14 and later.
select pg_database_size($1::oid) as size_bytes
