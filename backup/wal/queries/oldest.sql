-- The oldest segment that the server still has, by its place alone, whatever its timeline; it takes pg_monitor.
select min(substr(name, 9)) as place
from pg_ls_waldir()
where name ~ '^[0-9A-F]{24}$'
