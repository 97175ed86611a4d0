-- One thing that happened.
INSERT INTO event (at, target, kind, subject, before, after, detail) VALUES (?, ?, ?, ?, ?, ?, ?)
