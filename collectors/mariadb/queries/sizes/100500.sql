-- One schema's sum and its largest tables. The server opens each table for it, so it is asked one schema at a time and
-- not often; a table that is being changed is left out by the server, which shows it without an engine and does not wait.
WITH tables AS (
    SELECT
        table_name AS name,
        engine,
        COALESCE(data_length, 0) AS data_bytes,
        COALESCE(index_length, 0) AS index_bytes,
        COALESCE(data_free, 0) AS free_bytes,
        COALESCE(table_rows, 0) AS estimated_rows,
        ROW_NUMBER() OVER (ORDER BY COALESCE(data_length, 0) + COALESCE(index_length, 0) DESC, table_name) AS place
    FROM information_schema.tables
    WHERE table_schema = %s AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
SELECT
    MAX(CASE WHEN place <= %s THEN name END) AS name,
    COUNT(*) AS tables,
    SUM(engine IS NULL) AS locked,
    SUM(data_bytes) AS data_bytes,
    SUM(index_bytes) AS index_bytes,
    SUM(free_bytes) AS free_bytes,
    SUM(estimated_rows) AS estimated_rows
FROM tables
GROUP BY LEAST(place, %s + 1)
ORDER BY MIN(place)
