-- One restore at a time makes a database of this name: the lock lasts as long as this connection. Such locks hold
-- within a database, and others may have come by another one: theirs are looked for once we have ours.
SELECT CASE
    WHEN pg_try_advisory_lock(hashtextextended($1, 0)) THEN NOT EXISTS (
        SELECT
        FROM pg_locks
        WHERE locktype = 'advisory'
            AND granted
            AND objsubid = 1
            AND (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)
            AND pid <> pg_backend_pid()
    )
    ELSE false
END
