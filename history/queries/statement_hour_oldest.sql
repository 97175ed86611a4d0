-- The oldest hour, the next to expire.
SELECT min(at) FROM statement_hour
