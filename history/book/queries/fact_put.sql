-- Remember a number.
INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)
