-- A statement without any use left is forgotten.
DELETE FROM statement
WHERE id NOT IN (SELECT statement_id FROM statement_use UNION SELECT statement_id FROM statement_hour)
