"""What the reading commands do, once their options are read: ask the daemon or measure, and print."""
