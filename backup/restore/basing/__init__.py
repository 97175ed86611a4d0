"""How the files of a whole PostgreSQL server come back, in pieces."""
