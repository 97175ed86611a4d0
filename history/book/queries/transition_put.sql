-- One step in the life of an alert.
INSERT OR REPLACE INTO transition (episode, sequence, at, before, after, severity, value, what, reason, by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
