-- The life of an episode that is kept no longer.
DELETE FROM transition WHERE episode = ?
