-- A text that no statement refers to is forgotten.
DELETE FROM statement_text
WHERE NOT EXISTS (
    SELECT 1 FROM statement WHERE statement.target = statement_text.target AND statement.queryid = statement_text.queryid
)
