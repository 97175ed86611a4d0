-- The mark of an episode that is kept no longer.
DELETE FROM mark WHERE episode = ?
