-- Everybody else in this database is sent away, so that it can be renamed. What looks after it by itself has no user,
-- gives way to the renaming, and is not ours to send away.
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
