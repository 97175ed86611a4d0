-- A series silent for longer than anything is kept has nothing left.
DELETE FROM series WHERE last_at < ?
