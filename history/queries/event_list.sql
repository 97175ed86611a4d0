-- What happened in a span, the latest first.
SELECT target, kind, subject, before, after, detail, at
FROM event
WHERE at >= :since AND at < :until
    AND (:target IS NULL OR target = :target)
    AND (:kind IS NULL OR kind = :kind)
ORDER BY at DESC, id DESC
LIMIT :most
