"""PgBouncer, through its admin console."""
