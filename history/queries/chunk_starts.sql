-- Where one resolution has stretches: few values, found by the index alone.
SELECT DISTINCT start FROM chunk WHERE resolution = ? AND start >= ? AND start < ? ORDER BY start
