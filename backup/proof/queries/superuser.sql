-- Whether we may look at everything.
SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user
