-- Toban: what the configuration files say of the settings that wait for a restart; the last entry wins. It parses the
-- files, so it is asked only while something waits. A name may be written in capitals there. PostgreSQL 14 and later.
select asked.name, coalesce(written.setting, '') as setting, written.sourcefile, written.sourceline
from unnest($1::text[]) as asked (name)
join pg_file_settings as written on lower(written.name) = lower(asked.name)
order by written.seqno
