-- The segments on disk and those that wait for the archiver: two listings of a folder, so asked seldom. From 14 on.
-- Needs pg_monitor.
select
    w.segments,
    w.size_bytes,
    (select count(*) from pg_ls_archive_statusdir() where name like '%.ready') as ready
from (
    select count(*) as segments, coalesce(sum(size), 0)::float8 as size_bytes
    from pg_ls_waldir()
    where name ~ '^[0-9A-F]{24}$'
) as w
