-- The life of an alert.
SELECT episode, sequence, at, before, after, severity, value, what, reason, by
FROM transition
WHERE episode = ?
ORDER BY sequence
