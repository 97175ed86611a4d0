-- Toban: what the configuration files say of the settings that wait for a restart; the last entry wins. It parses the
-- files, so it is asked only while something waits. PostgreSQL 14 and later.
select name, coalesce(setting, '') as setting, sourcefile, sourceline
from pg_file_settings
where name = any($1::text[])
order by seqno
