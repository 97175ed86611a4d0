-- Since when the oldest finished segment waits to be archived; it takes pg_monitor.
select extract(epoch from min(modification))::float8 as since
from pg_ls_archive_statusdir()
where name ~ '^[0-9A-F]{24}\.ready$'
