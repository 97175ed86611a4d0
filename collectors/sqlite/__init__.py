"""SQLite files of applications, watched without ever standing in their way."""
