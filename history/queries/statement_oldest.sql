-- The oldest interval that is not summed up yet.
SELECT min(at) FROM statement_use
