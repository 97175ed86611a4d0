"""How a PostgreSQL server is dumped, in pieces."""
