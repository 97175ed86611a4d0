"""What is kept, and proved: backups, the WAL between them, restores, proofs and drills."""
