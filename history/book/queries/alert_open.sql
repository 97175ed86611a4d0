-- Every alert that is not over.
SELECT body FROM alert WHERE resolved_at IS NULL ORDER BY id
