-- When a series was last heard of.
UPDATE series SET last_at = max(last_at, ?) WHERE id = ?
