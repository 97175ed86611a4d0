"""How the files of a whole PostgreSQL server are kept, in pieces."""
