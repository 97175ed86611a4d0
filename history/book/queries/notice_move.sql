-- What has become of a notice that is known.
UPDATE notice
SET standing = ?, attempts = ?, next_at = ?, settled_at = ?, detail = ?, receipt = ?, perhaps_sent = ?
WHERE key = ?
