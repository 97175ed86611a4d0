"""Second places for backups: another folder, or object storage."""
