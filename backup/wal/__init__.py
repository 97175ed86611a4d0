"""What changed since: WAL received, archived, and the moments it reaches."""
