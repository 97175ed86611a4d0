"""PostgreSQL: one way in (`server`), and a module for each thing measured there."""
