-- The oldest notices that are settled and past their time or past the number that is kept, a bounded number at once.
DELETE FROM notice
WHERE id IN (
    SELECT id FROM notice
    WHERE settled_at IS NOT NULL
        AND (settled_at < :before OR id <= (SELECT max(id) FROM notice) - :most)
    ORDER BY id LIMIT :step
)
