-- The oldest silences that are over and past their time, a bounded number at once.
DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE ends_at < :before ORDER BY ends_at LIMIT :step)
