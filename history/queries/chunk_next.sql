-- The nearest later stretch of the same series, within the longest gap a rate may span.
SELECT body FROM chunk WHERE resolution = ? AND start >= ? AND start < ? AND series_id = ? ORDER BY start LIMIT 1
