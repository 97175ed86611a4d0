"""Backups are proved by restoring them."""
