-- Every silence, the latest first.
SELECT body FROM silence ORDER BY created_at DESC LIMIT ?
