"""The book of alerts: what was wrong, who was told, what is to be told. Its own file, fully synced at each commit."""
