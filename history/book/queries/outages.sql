-- When targets were down within a span: from the first sign to the end. No drills.
SELECT target, max(started_at, :since), min(coalesce(resolved_at, :until), :until)
FROM alert
WHERE rule = :rule AND fired_at IS NOT NULL AND test = 0
    AND started_at < :until AND (resolved_at IS NULL OR resolved_at > :since)
ORDER BY target, started_at
