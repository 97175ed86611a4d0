-- A stretch of a series, packed; it replaces what was there.
INSERT INTO chunk (resolution, start, series_id, body) VALUES (?, ?, ?, ?)
ON CONFLICT (resolution, start, series_id) DO UPDATE SET body = excluded.body
