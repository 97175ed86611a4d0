-- An hour's intervals as one row a statement.
INSERT INTO statement_hour
    (at, statement_id, interval_seconds, calls, seconds, rows, hit_blocks, read_blocks, temp_blocks)
SELECT :start, statement_id, sum(interval_seconds), sum(calls), sum(seconds), sum(rows), sum(hit_blocks),
    sum(read_blocks), sum(temp_blocks)
FROM statement_use
WHERE at >= :start AND at < :end
GROUP BY statement_id
ON CONFLICT (at, statement_id) DO UPDATE SET
    interval_seconds = interval_seconds + excluded.interval_seconds,
    calls = calls + excluded.calls,
    seconds = seconds + excluded.seconds,
    rows = rows + excluded.rows,
    hit_blocks = hit_blocks + excluded.hit_blocks,
    read_blocks = read_blocks + excluded.read_blocks,
    temp_blocks = temp_blocks + excluded.temp_blocks
