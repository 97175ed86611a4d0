-- What was seen when an alert fired.
INSERT OR REPLACE INTO evidence (episode, at, body) VALUES (?, ?, ?)
