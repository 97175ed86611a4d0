-- When this server came onto its timeline: as a primary by its promotion, as a standby by following one. What it counted
-- before, it counted in the other part. No row's value on the first timeline. Needs pg_monitor. From 14 on.
select extract(epoch from max(modification))::float8 as began_at
from pg_ls_waldir()
where name ~ '^[0-9A-F]{8}[.]history$'
