-- The outbox, the latest first.
SELECT key, channel, standing, attempts, next_at, settled_at, detail, receipt, perhaps_sent, body
FROM notice
WHERE (:episode IS NULL OR episode = :episode) AND (:standing IS NULL OR standing = :standing)
ORDER BY id DESC
LIMIT :most
