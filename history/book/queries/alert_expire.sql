-- The oldest episodes that are over and past their time or past the number that is kept, a bounded number at once.
DELETE FROM alert
WHERE id IN (
    SELECT id FROM alert
    WHERE resolved_at IS NOT NULL
        AND (resolved_at < :before OR id <= (SELECT max(id) FROM alert) - :most)
    ORDER BY id LIMIT :step
)
RETURNING episode
