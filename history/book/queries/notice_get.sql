-- One notice.
SELECT key, channel, standing, attempts, next_at, settled_at, detail, receipt, perhaps_sent, body
FROM notice
WHERE key = ?
