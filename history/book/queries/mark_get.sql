-- What somebody has found an alert to be.
SELECT verdict, by FROM mark WHERE episode = ?
