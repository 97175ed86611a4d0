-- How much a base backup reads: every tablespace, those of the system included. Wants pg_read_all_stats. PostgreSQL 13.
SELECT sum(pg_tablespace_size(oid))::bigint FROM pg_tablespace
