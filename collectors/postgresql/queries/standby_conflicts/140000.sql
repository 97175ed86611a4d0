-- Queries that a standby cancelled because replay needed what they held. From 14 on.
select
    datname,
    confl_tablespace as tablespace,
    confl_lock as lock,
    confl_snapshot as snapshot,
    confl_bufferpin as bufferpin,
    confl_deadlock as deadlock
from pg_stat_database_conflicts
where datid not in (select oid from pg_database where datistemplate)
