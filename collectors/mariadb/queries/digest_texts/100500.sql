-- The texts of some statements, which the server itself has normalised.
SELECT digest, LEFT(MAX(digest_text), %s) AS text
FROM performance_schema.events_statements_summary_by_digest
WHERE digest IN %s
GROUP BY digest
