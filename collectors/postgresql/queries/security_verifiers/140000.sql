-- Toban: the roles whose stored password is a mere MD5 hash. Only superusers may look; no hash leaves the server.
-- PostgreSQL 14 and later.
select rolname from pg_authid where rolpassword like 'md5%' order by rolname limit $1
