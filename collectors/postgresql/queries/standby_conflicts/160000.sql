-- The same, with the slots that logical decoding on standbys brought. From 16 on.
select
    datname,
    confl_tablespace as tablespace,
    confl_lock as lock,
    confl_snapshot as snapshot,
    confl_bufferpin as bufferpin,
    confl_deadlock as deadlock,
    confl_active_logicalslot as logical_slot
from pg_stat_database_conflicts
where datid not in (select oid from pg_database where datistemplate)
