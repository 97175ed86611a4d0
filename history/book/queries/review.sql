-- For each rule what became of the alerts that fired in a span, the busiest first. No drills.
SELECT
    alert.rule,
    count(*),
    count(alert.acknowledged_at),
    count(*) FILTER (WHERE mark.verdict = 'false'),
    count(*) FILTER (WHERE mark.verdict = 'real'),
    count(*) FILTER (WHERE mark.verdict IS NULL),
    avg(alert.resolved_at - alert.fired_at),
    avg(alert.acknowledged_at - alert.fired_at)
FROM alert LEFT JOIN mark ON mark.episode = alert.episode
WHERE alert.fired_at >= :since AND alert.fired_at < :until AND alert.started_at < :until AND alert.test = 0
GROUP BY alert.rule
ORDER BY 2 DESC, 1
