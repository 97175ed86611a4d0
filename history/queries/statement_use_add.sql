-- What a statement cost in one interval; a clock set back overwrites.
INSERT OR REPLACE INTO statement_use
    (at, statement_id, interval_seconds, calls, seconds, rows, hit_blocks, read_blocks, temp_blocks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
