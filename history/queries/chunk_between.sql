-- The stretches of one series that begin within a span.
SELECT body FROM chunk WHERE resolution = ? AND start >= ? AND start < ? AND series_id = ? ORDER BY start
