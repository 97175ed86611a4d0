-- Alerts in these states (a JSON list; null: any) that began or were still there since then, the latest first.
SELECT body
FROM alert
WHERE (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
    AND (:since IS NULL OR resolved_at IS NULL OR resolved_at >= :since)
    AND (:until IS NULL OR started_at < :until)
    AND (:rule IS NULL OR rule = :rule)
    AND (:target IS NULL OR target = :target)
    AND (:severity IS NULL OR severity = :severity)
ORDER BY started_at DESC, id DESC
LIMIT :most
