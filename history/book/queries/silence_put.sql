-- A silence as it is now.
INSERT OR REPLACE INTO silence (id, created_at, begins_at, ends_at, ended_by, body) VALUES (?, ?, ?, ?, ?, ?)
