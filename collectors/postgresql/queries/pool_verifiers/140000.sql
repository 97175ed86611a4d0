-- The roles that may log in and do not rule the server, with what proves their passwords. It is asked only to write a
-- userlist, by a role that may read it; superusers are left out here already: they need no pool.
SELECT
    rolname::text AS role,
    CASE WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN rolpassword END AS verifier,
    rolpassword IS NOT NULL AS has_password,
    coalesce(rolvaliduntil < now(), false) AS expired
FROM pg_authid
WHERE rolcanlogin AND NOT rolsuper
ORDER BY rolname
