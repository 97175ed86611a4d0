-- Toban: the libraries that the configuration files name for the next start: the last entry wins. PostgreSQL 14 and later.
select setting::text as preloaded
from pg_file_settings
where name = 'shared_preload_libraries'
order by seqno desc
limit 1
