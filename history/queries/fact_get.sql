-- One remembered number.
SELECT value FROM fact WHERE name = ?
