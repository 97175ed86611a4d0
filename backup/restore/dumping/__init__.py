"""How a dump of PostgreSQL comes back, in pieces."""
