-- A statement is met: known already or new. The update changes nothing; it lets RETURNING answer in both cases.
INSERT INTO statement (target, queryid, datname, usename) VALUES (?, ?, ?, ?)
ON CONFLICT (target, queryid, datname, usename) DO UPDATE SET target = excluded.target
RETURNING id
