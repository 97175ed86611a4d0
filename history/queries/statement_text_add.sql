-- A statement's normalised text, once.
INSERT INTO statement_text (target, queryid, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
