-- WAL, its archiver, checkpoints and the background writer in one row. 14 to 16: checkpoints count in pg_stat_bgwriter.
-- The archiver's last deeds are remembered when it is switched off, and when the server becomes a standby.
with archiving as (
    select setting = 'always' or setting = 'on' and not pg_is_in_recovery() as archiving
    from current_setting('archive_mode') as setting
)
select
    case
        when pg_is_in_recovery() then pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')
        else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
    end::float8 as position_bytes,
    pg_is_in_recovery() as standby,
    c.timeline_id as timeline,
    extract(epoch from clock_timestamp() - c.checkpoint_time)::float8 as checkpoint_age_seconds,
    a.archived_count,
    a.failed_count,
    case when g.archiving then extract(epoch from clock_timestamp() - a.last_archived_time) end::float8 as last_archive_age,
    extract(epoch from clock_timestamp() - a.last_failed_time)::float8 as last_failure_age,
    g.archiving and a.last_failed_time is not null
        and a.last_failed_time > coalesce(a.last_archived_time, '-infinity') as failing,
    has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute')
        and has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'execute') as may_list,
    w.wal_records as records,
    w.wal_fpi as full_page_images,
    w.wal_buffers_full as buffers_full,
    w.wal_write as writes,
    w.wal_sync as syncs,
    w.wal_write_time / 1000 as write_seconds,
    w.wal_sync_time / 1000 as sync_seconds,
    b.buffers_alloc as bgwriter_buffers_alloc,
    b.buffers_clean as bgwriter_buffers_clean,
    b.maxwritten_clean as bgwriter_maxwritten_clean,
    b.checkpoints_timed as bgwriter_checkpoints_timed,
    b.checkpoints_req as bgwriter_checkpoints_req,
    b.checkpoint_write_time as bgwriter_checkpoint_write_time,
    b.checkpoint_sync_time as bgwriter_checkpoint_sync_time,
    b.buffers_checkpoint as bgwriter_buffers_checkpoint,
    b.buffers_backend as bgwriter_buffers_backend,
    b.buffers_backend_fsync as bgwriter_buffers_backend_fsync
from pg_stat_archiver a, pg_stat_wal w, pg_stat_bgwriter b, pg_control_checkpoint() c, archiving g
