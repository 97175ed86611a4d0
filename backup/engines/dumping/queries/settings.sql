-- What ALTER DATABASE .. SET and ALTER ROLE .. IN DATABASE .. SET have set here; `role` is empty for all of them.
SELECT
    CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END AS role,
    split_part(setting, '=', 1) AS name,
    substr(setting, strpos(setting, '=') + 1) AS value
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS setting
WHERE d.datname = current_database()
ORDER BY s.setrole, name
