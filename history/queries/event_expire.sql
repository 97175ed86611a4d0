-- The oldest events past their time or past the number that is kept, a bounded number at once.
DELETE FROM event
WHERE id IN (
    SELECT id FROM event WHERE at < :before OR id <= (SELECT max(id) FROM event) - :most ORDER BY id LIMIT :step
)
