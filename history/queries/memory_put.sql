-- Remember a collector's words in the place of its earlier ones.
INSERT INTO memory (target, name, at, body) VALUES (?, ?, ?, ?)
ON CONFLICT (target, name) DO UPDATE SET at = excluded.at, body = excluded.body
