"""The questions that people on duty ask of a database and its host, and the metrics that answer each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question. `metrics` are shell patterns; `beside` is what answers besides metrics."""

    id: str
    question: str
    metrics: tuple[str, ...]
    beside: str = ""


ROWS: tuple[Row, ...] = (
    Row(
        id="M1",
        question="Who is connected, how near is the limit, what runs for too long?",
        metrics=(
            *("pg_connections_used_ratio", "toban_pg_connections*", "pg_stat_activity_*", "pg_longest_*"),
            *("toban_pg_longest_*", "toban_pg_oldest_xmin_age", "toban_pg_own_connections", "toban_pg_activity_*"),
        ),
    ),
    Row(
        id="M2",
        question="How large is it, how much of it is waste, when was it tended?",
        metrics=(
            *("pg_database_size_bytes", "toban_pg_databases_size_bytes", "pg_stat_user_tables_*", "toban_pg_table_*"),
            *("toban_pg_relations_*", "toban_pg_*bloat*", "pg_wraparound_ratio", "toban_pg_*wraparound*"),
            *("toban_pg_sequence*", "toban_growth_bytes_per_day", "toban_pg_freeze_age_ratio"),
        ),
        beside="`toban advise bloat`",
    ),
    Row(
        id="M3",
        question="Does the cache hold what is read?",
        metrics=("pg_cache_hit_ratio", "toban_pg_*cache_hit_ratio", "toban_pg_*hit_ratio"),
    ),
    Row(
        id="M4",
        question="How many transactions, and what goes wrong in them?",
        metrics=(
            "pg_stat_database_*",
            "toban_pg_checksum_failures*",
            "toban_pg_sessions*",
            "toban_pg_active_seconds_total",
        ),
    ),
    Row(
        id="M5",
        question="Which statements cost the time?",
        metrics=("pg_stat_statements_*", "toban_pg_statements*", "toban_pg_statement*", "pg_longest_query_seconds"),
        beside="`toban statements`",
    ),
    Row(
        id="M6",
        question="Which indexes are useless, doubled, broken or missing?",
        metrics=("toban_pg_index*", "toban_pg_indexes*", "pg_stat_user_tables_*scan"),
        beside="`toban advise indexes`",
    ),
    Row(
        id="M7",
        question="Who blocks whom?",
        metrics=("pg_locks_count", "toban_pg_lock*"),
        beside="`toban locks`",
    ),
    Row(
        id="M8",
        question="How far behind are the standbys, and what do slots hold back?",
        metrics=(
            *("pg_replication_*", "pg_stat_replication_*", "toban_pg_standby*", "toban_pg_slot*", "toban_pg_replay*"),
            *("toban_pg_wal_receiver*", "toban_pg_recovery_conflicts_total", "toban_pg_subscription*"),
            "toban_pg_synchronous*",
        ),
    ),
    Row(
        id="M9",
        question="How does the WAL fare: rate, archive, checkpoints, I/O, long commands?",
        metrics=(
            *("toban_pg_wal_*", "pg_wal_*", "pg_stat_archiver_*", "toban_pg_archive*", "pg_stat_bgwriter_*"),
            *("pg_stat_checkpointer_*", "toban_pg_checkpoint*", "toban_pg_io*", "toban_pg_progress*", "toban_pg_slru*"),
        ),
    ),
    Row(
        id="M10",
        question="Which server is it and since when, what is set, what was changed, what waits for a restart?",
        metrics=("pg_static", "pg_postmaster_start_time_seconds", "pg_settings_*", "toban_pg_settings*"),
        beside="`toban events`, `toban advise settings`",
    ),
    Row(
        id="M11",
        question="Does the pool suffice?",
        metrics=("pgbouncer_*", "toban_pgbouncer*"),
        beside="`toban advise pool`",
    ),
    Row(id="M12", question="Is the SQLite file sound, and does anybody wait for it?", metrics=("toban_sqlite_*",)),
    Row(
        id="M13",
        question="How does MariaDB fare?",
        metrics=("mysql_*", "toban_mysql_*"),
        beside="`toban statements`",
    ),
    Row(
        id="M14",
        question="How does the host fare?",
        metrics=(
            *("toban_host_cpu*", "toban_host_load*", "toban_host_boot*", "toban_host_pressure*", "toban_host_disk*"),
            *("toban_host_inodes*", "toban_host_mount*", "toban_host_memory*", "toban_host_swap*", "toban_host_oom*"),
            *("toban_host_network*", "toban_host_process*"),
        ),
    ),
    Row(id="M15", question="What do our own tables say?", metrics=("toban_custom_*",)),
    Row(id="M16", question="What do the logs say?", metrics=("toban_log_*",)),
    Row(
        id="M17",
        question="Which files grew, changed or stand open; which certificates end?",
        metrics=("toban_file*", "toban_certificate*"),
        beside="`toban events`",
    ),
    Row(
        id="M18",
        question="Do the services answer, do the units run?",
        metrics=("toban_probe_*", "toban_unit*"),
    ),
    Row(
        id="M19",
        question="Which doors stand open?",
        metrics=(
            *("toban_pg_security_*", "toban_host_*port*", "toban_host_*updates"),
            *("toban_host_package_*", "toban_host_firewall_*", "toban_host_reboot_*", "toban_python_*"),
        ),
        beside="`toban advise security`",
    ),
    Row(
        id="M20",
        question="Where does it lead, and when is it full?",
        metrics=("toban_time_to_full_seconds", "toban_growth_*"),
        beside="`toban history`",
    ),
    Row(
        id="B1",
        question="Is there a backup of everything, how old is it, and was it seen to come back to life?",
        metrics=("toban_backup_*",),
        beside="`toban backup list`",
    ),
    Row(
        id="B2",
        question="To which moments is there a way back, how much would be lost, how long would it take?",
        metrics=("toban_wal_*", "toban_rpo_*", "toban_rto_*", "toban_drill_*"),
        beside="`toban wal status`, `toban drill`",
    ),
)
