-- One restore at a time makes a database of this name: the lock lasts as long as this connection.
SELECT pg_try_advisory_lock(hashtextextended($1, 0))
