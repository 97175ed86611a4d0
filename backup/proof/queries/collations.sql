-- Whether texts are sorted otherwise here than where the indexes were built: then an index may be right there, wrong here.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_database
    WHERE datcollversion IS DISTINCT FROM pg_catalog.pg_database_collation_actual_version(oid)
)
