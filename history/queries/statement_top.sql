-- What statements cost in a span, the dearest first. An interval is in one of the two tables only, never in both;
-- each is summed up before the names are joined, since there are a thousand intervals to a name.
WITH spent AS (
    SELECT statement_id, sum(interval_seconds) AS interval_seconds, sum(calls) AS calls, sum(seconds) AS seconds,
        sum(rows) AS rows, sum(hit_blocks) AS hit_blocks, sum(read_blocks) AS read_blocks,
        sum(temp_blocks) AS temp_blocks
    FROM statement_use
    WHERE at >= :since AND at < :until
    GROUP BY statement_id
    UNION ALL
    SELECT statement_id, sum(interval_seconds), sum(calls), sum(seconds), sum(rows), sum(hit_blocks),
        sum(read_blocks), sum(temp_blocks)
    FROM statement_hour
    WHERE at >= :since AND at < :until
    GROUP BY statement_id
)
SELECT
    statement.target, statement.queryid, statement.datname, statement.usename,
    sum(interval_seconds) AS interval_seconds, sum(calls) AS calls, sum(seconds) AS seconds, sum(rows) AS rows,
    sum(hit_blocks) AS hit_blocks, sum(read_blocks) AS read_blocks, sum(temp_blocks) AS temp_blocks,
    coalesce(statement_text.text, '') AS text
FROM spent
JOIN statement ON statement.id = spent.statement_id
LEFT JOIN statement_text ON statement_text.target = statement.target AND statement_text.queryid = statement.queryid
WHERE :target IS NULL OR statement.target = :target
GROUP BY statement.id
ORDER BY
    CASE :by
        WHEN 'calls' THEN sum(calls)
        WHEN 'mean' THEN sum(seconds) / max(sum(calls), 1)
        ELSE sum(seconds)
    END DESC
LIMIT :top
