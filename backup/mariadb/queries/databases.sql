-- The databases of people's own, with what a restore creates them by. A file system's own folder in theirs is none.
SELECT schema_name, default_character_set_name, default_collation_name
FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql', '#mysql50#lost+found')
ORDER BY schema_name
