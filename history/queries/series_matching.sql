-- The series a pattern means, in the order they are shown.
SELECT id, target, metric, labels, type, unit
FROM series
WHERE metric GLOB :metric AND (:target IS NULL OR target = :target)
ORDER BY target, metric, labels
