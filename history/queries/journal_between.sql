-- What arrived for a stretch of time; the order of arrival tells a clock that was set back.
SELECT id, at, body FROM journal WHERE at >= ? AND at < ? ORDER BY id
