-- What fired in a span, by how bad it ever was; how long until somebody took it up, and until it was over. No drills.
SELECT
    count(*),
    count(*) FILTER (WHERE worst = 2),
    count(*) FILTER (WHERE worst = 1),
    count(*) FILTER (WHERE worst = 0),
    avg(acknowledged_at - fired_at),
    avg(resolved_at - fired_at)
FROM alert
WHERE fired_at >= :since AND fired_at < :until AND started_at < :until AND test = 0
