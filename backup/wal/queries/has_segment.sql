-- Whether the server still has a segment: one that it cannot read at the moment is not lost. It takes pg_monitor.
select exists (select from pg_ls_waldir() where name = $1) as there
