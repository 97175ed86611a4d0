-- What is still to be told, the oldest first.
SELECT key, channel, standing, attempts, next_at, settled_at, detail, receipt, perhaps_sent, body
FROM notice
WHERE standing IN ('pending', 'inflight')
ORDER BY id
LIMIT ?
