-- A series is met: known already or new. Type and unit follow the code, which may have changed its mind.
INSERT INTO series (target, metric, labels, type, unit, first_at, last_at)
VALUES (:target, :metric, :labels, :type, :unit, :at, :at)
ON CONFLICT (target, metric, labels) DO UPDATE SET type = excluded.type, unit = excluded.unit
RETURNING id
