-- What each normalised statement has cost. Times are in picoseconds; a row without a digest sums up what had no room.
SELECT
    COALESCE(schema_name, '') AS schema_name,
    digest,
    count_star AS calls,
    sum_timer_wait / 1e12 AS seconds,
    sum_rows_sent + sum_rows_affected AS touched,
    sum_rows_examined AS examined,
    sum_created_tmp_disk_tables AS disk_tables,
    sum_errors AS errors,
    COALESCE(UNIX_TIMESTAMP(first_seen), 0) AS since
FROM performance_schema.events_statements_summary_by_digest
