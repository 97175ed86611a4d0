-- A notice as it is now, with the body that it keeps.
INSERT INTO notice (
    standing, attempts, next_at, settled_at, detail, receipt, perhaps_sent, key, episode, channel, what, created_at, body
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    standing = excluded.standing,
    attempts = excluded.attempts,
    next_at = excluded.next_at,
    settled_at = excluded.settled_at,
    detail = excluded.detail,
    receipt = excluded.receipt,
    perhaps_sent = excluded.perhaps_sent
