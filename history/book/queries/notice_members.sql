-- What was taken into a digest.
SELECT key, channel, standing, attempts, next_at, settled_at, detail, receipt, perhaps_sent, body
FROM notice
WHERE standing = 'dropped' AND detail = ?
ORDER BY id
