-- A remembered number.
SELECT value FROM fact WHERE name = ?
