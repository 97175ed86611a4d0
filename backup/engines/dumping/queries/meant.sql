-- Which tables are meant by patterns for schema and name, as pg_dump asks for its options: without a schema those that
-- the search path leads to.
SELECT DISTINCT c.oid::bigint AS oid
FROM unnest($1::text[], $2::text[]) AS pattern (of_schema, of_name)
JOIN pg_namespace AS n ON pattern.of_schema IS NULL OR n.nspname ~ pattern.of_schema
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname ~ pattern.of_name
WHERE c.relkind = 'r' AND (pattern.of_schema IS NOT NULL OR pg_table_is_visible(c.oid))
