-- An alert as it is now. How bad it ever was, and when somebody first took it up, stay.
INSERT INTO alert (
    episode, rule, target, labels, severity, worst, state, started_at, fired_at, acknowledged_at, changed_at,
    resolved_at, test, body
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (episode) DO UPDATE SET
    severity = excluded.severity,
    worst = max(worst, excluded.worst),
    state = excluded.state,
    fired_at = excluded.fired_at,
    acknowledged_at = coalesce(acknowledged_at, excluded.acknowledged_at),
    changed_at = excluded.changed_at,
    resolved_at = excluded.resolved_at,
    body = excluded.body
