-- One collection's readings of kept metrics, as they arrived.
INSERT INTO journal (at, body) VALUES (?, ?)
