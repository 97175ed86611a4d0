-- What has moved on to a coarser resolution leaves the finer one.
DELETE FROM chunk WHERE resolution = ? AND start >= ? AND start < ? AND series_id = ?
