-- One stretch of one series.
SELECT body FROM chunk WHERE resolution = ? AND start = ? AND series_id = ?
