-- What a database is made with, for an empty one like it elsewhere. What later versions added is taken out of the row
-- as JSON, so that one text asks all of them.
SELECT
    pg_encoding_to_char(d.encoding) AS encoding,
    d.datcollate AS collate,
    d.datctype AS ctype,
    coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
    to_jsonb(d) ->> 'daticurules' AS rules,
    pg_get_userbyid(d.datdba) AS owner,
    nullif(t.spcname, 'pg_default') AS tablespace,
    d.datconnlimit AS connection_limit,
    shobj_description(d.oid, 'pg_database') AS comment,
    d.datacl IS NOT NULL AS has_privileges
FROM pg_database AS d
JOIN pg_tablespace AS t ON t.oid = d.dattablespace
WHERE d.datname = current_database()
