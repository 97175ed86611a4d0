-- Every name there is, to suggest the nearest one.
SELECT DISTINCT metric FROM series ORDER BY metric
