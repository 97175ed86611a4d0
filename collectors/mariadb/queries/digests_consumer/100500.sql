-- Whether statements are summed up by their digests.
SELECT enabled
FROM performance_schema.setup_consumers
WHERE name = 'statements_digest'
