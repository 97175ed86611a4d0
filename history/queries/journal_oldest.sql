-- The oldest moment that is not packed yet.
SELECT min(at) FROM journal
