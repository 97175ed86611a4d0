-- The oldest stretch that begins before a moment: the next to move on by age.
SELECT start, series_id FROM chunk WHERE resolution = ? AND start < ? ORDER BY start, series_id LIMIT 1
