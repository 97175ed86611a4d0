-- Whether a series is a counter: its slots hold rates.
SELECT type = 'counter' FROM series WHERE id = ?
