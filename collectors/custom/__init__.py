"""Somebody's own SQL, turned into metrics: `collect: custom:`."""
