-- The ids of the latest episodes.
SELECT episode FROM alert ORDER BY id DESC LIMIT 1000
