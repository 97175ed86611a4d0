"""Where backups lie: a folder that describes itself."""
