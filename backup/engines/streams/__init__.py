"""What engines share that pipe what they read through programs of others."""
