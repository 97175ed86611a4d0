-- The intervals that were summed up leave.
DELETE FROM statement_use WHERE at >= :start AND at < :end
