-- Every table of people's own: its kind, its engine (which may know no transactions), its size.
SELECT table_schema, table_name, table_type, COALESCE(engine, ''), COALESCE(data_length, 0) + COALESCE(index_length, 0)
FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql')
ORDER BY table_schema, table_name
