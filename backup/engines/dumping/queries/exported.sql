-- The name by which another session takes over what this transaction sees, for as long as it lasts.
SELECT pg_export_snapshot()
