-- The oldest evidence past its time or past the number that is kept, a bounded number at once.
DELETE FROM evidence
WHERE rowid IN (
    SELECT rowid FROM evidence
    WHERE at < :before OR rowid <= (SELECT max(rowid) FROM evidence) - :most
    ORDER BY rowid LIMIT :step
)
