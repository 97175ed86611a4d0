-- What was packed leaves the journal; what came in since (a higher id) stays.
DELETE FROM journal WHERE at >= ? AND at < ? AND id <= ?
