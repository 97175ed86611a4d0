"""Log files: followed through every kind of rotation, each line counted exactly once, also across restarts."""
