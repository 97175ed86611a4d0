-- The oldest stretches past their time, a bounded number at once.
DELETE FROM chunk
WHERE id IN (SELECT id FROM chunk WHERE resolution = ? AND start < ? ORDER BY start LIMIT ?)
