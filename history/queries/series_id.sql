-- Whether a series is known, for the bound on new ones.
SELECT id FROM series WHERE target = ? AND metric = ? AND labels = ?
