-- Pages and versions as the WAL has them, in one statement and thus one short read transaction.
-- Lowest version: SQLite 3.16 (table-valued pragma functions).
SELECT page_size, page_count, freelist_count, schema_version, user_version
FROM pragma_page_size, pragma_page_count, pragma_freelist_count, pragma_schema_version, pragma_user_version
