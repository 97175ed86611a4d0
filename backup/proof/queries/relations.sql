-- Everything that holds rows of its own: tables and filled materialized views, the catalog's as well. Others' temporary
-- tables came with the files and belong to nobody any more. COPY takes no view, so a materialized one is selected from.
SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'm' AS is_view
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated
ORDER BY c.relpages DESC, n.nspname, c.relname
