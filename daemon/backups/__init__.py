"""Backups as the daemon holds them: what is due, what is received, what is told of it."""
