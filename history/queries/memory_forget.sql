-- Words of targets that have long left: of which neither a series nor an event is left either.
DELETE FROM memory
WHERE at < :before
    AND target NOT IN (SELECT target FROM series) AND target NOT IN (SELECT target FROM event)
