"""Which of the server's own counters are shown, with mysqld_exporter's names; and what two readings of them say."""

from collections.abc import Mapping
from dataclasses import dataclass

from toban.samples import Metric, Type

RESTART_SLACK_SECONDS = 2.0  # uptime comes in whole seconds
Values = Mapping[str, float]


def _metric(name: str, help: str, *, type: Type = Type.COUNTER, kept: bool = False) -> Metric:  # noqa: A002 - the fields' names
    return Metric(name=f"mysql_global_status_{name}", help=help, type=type, compatible=True, kept=kept)


def _gauge(name: str, help: str, *, kept: bool = False) -> Metric:  # noqa: A002 - the field's name
    return _metric(name, help, type=Type.GAUGE, kept=kept)


COUNTERS: tuple[Metric, ...] = (
    _gauge("uptime", "Seconds since the server was started", kept=True),
    _gauge("uptime_since_flush_status", "Seconds since FLUSH STATUS, which set counters back, or the start"),
    _gauge("threads_connected", "Connections open now", kept=True),
    _gauge("threads_running", "Connections at work now", kept=True),
    _gauge("max_used_connections", "The most connections at once since the start or FLUSH STATUS"),
    _metric("connections", "Attempts to connect, successful or not"),
    _metric("aborted_connects", "Attempts to connect that failed", kept=True),
    _metric("aborted_clients", "Connections that ended without a goodbye", kept=True),
    _metric("connection_errors_max_connections", "Connections refused because max_connections was reached", kept=True),
    _metric("questions", "Statements sent by clients", kept=True),
    _metric("queries", "Statements executed, those within stored programs too"),
    _metric("slow_queries", "Statements that took longer than long_query_time", kept=True),
    _metric("com_select", "SELECT statements"),
    _metric("com_insert", "INSERT statements"),
    _metric("com_update", "UPDATE statements"),
    _metric("com_delete", "DELETE statements"),
    _metric("com_commit", "COMMIT statements"),
    _metric("com_rollback", "ROLLBACK statements"),
    _metric("bytes_received", "Bytes received from clients"),
    _metric("bytes_sent", "Bytes sent to clients"),
    _metric("created_tmp_tables", "Temporary tables made while executing statements"),
    _metric("created_tmp_disk_tables", "Temporary tables made on disk while executing statements", kept=True),
    _metric("sort_merge_passes", "Merges of sorts that did not fit into sort_buffer_size"),
    _metric("select_full_join", "Joins that scanned a table for want of an index"),
    _metric("select_scan", "Joins that scanned the whole of their first table"),
    _metric("handler_read_rnd_next", "Rows read by scanning tables"),
    _gauge("open_tables", "Tables open now"),
    _metric("opened_tables", "Tables opened; table_open_cache is too small if it grows"),
    _metric("table_locks_waited", "Table locks that had to be waited for"),
    _metric("innodb_buffer_pool_read_requests", "Pages that InnoDB asked of its buffer pool"),
    _metric("innodb_buffer_pool_reads", "Pages that InnoDB had to read from disk"),
    _metric("innodb_buffer_pool_wait_free", "Waits for a clean page in the buffer pool"),
    _gauge("innodb_buffer_pool_pages_total", "Pages of the buffer pool"),
    _gauge("innodb_buffer_pool_pages_free", "Pages of the buffer pool that are free"),
    _gauge("innodb_buffer_pool_pages_dirty", "Pages of the buffer pool that are still to be written"),
    _metric("innodb_data_read", "Bytes read by InnoDB"),
    _metric("innodb_data_written", "Bytes written by InnoDB"),
    _metric("innodb_os_log_written", "Bytes written to InnoDB's redo log", kept=True),
    _metric("innodb_log_waits", "Waits because the log buffer was too small"),
    _metric("innodb_row_lock_waits", "Row locks that had to be waited for", kept=True),
    _metric("innodb_row_lock_time", "Milliseconds spent waiting for row locks"),
    _gauge("innodb_row_lock_current_waits", "Row locks that are waited for now"),
    _metric("innodb_deadlocks", "Deadlocks among row locks; MariaDB only", kept=True),
    _gauge("innodb_history_list_length", "Old row versions that purge has not removed; MariaDB only", kept=True),
    _gauge("rpl_semi_sync_master_clients", "Semi-synchronous replicas connected"),
    _gauge("rpl_semi_sync_master_status", "Whether the primary waits for a semi-synchronous replica"),
    _metric("rpl_semi_sync_master_no_tx", "Commits that no replica had acknowledged"),
    _metric("rpl_semi_sync_master_yes_tx", "Commits that a replica had acknowledged"),
    _gauge("rpl_semi_sync_slave_status", "Whether this replica acknowledges what it receives"),
    _metric(
        "performance_schema_digest_lost", "Statements whose digest had no room; see performance_schema_digests_size"
    ),
)
BY_VARIABLE: Mapping[str, Metric] = {metric.name.removeprefix("mysql_global_status_"): metric for metric in COUNTERS}
_WORDS = {"ON": 1.0, "OFF": 0.0}


def numbers(rows: Mapping[str, str]) -> dict[str, float]:
    """The server's answers as numbers; ON and OFF are 1 and 0, what is no number is left out."""
    found = {name.lower(): _number(value) for name, value in rows.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(text: str) -> float | None:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters at one monotonic moment."""

    at: float
    values: Values

    @property
    def started_at(self) -> float:
        """The monotonic moment of the server's start, as its uptime tells."""
        return self.at - self.values["uptime"]

    @property
    def flushed_at(self) -> float:
        """The same of the last FLUSH STATUS."""
        return self.at - self.values.get("uptime_since_flush_status", self.values["uptime"])


def continuous(before: Reading | None, now: Reading) -> bool:
    """Whether both readings count from the same start: no restart, no FLUSH STATUS in between."""
    if before is None:
        return False
    pairs = ((before.started_at, now.started_at), (before.flushed_at, now.flushed_at))
    return all(abs(a - b) <= RESTART_SLACK_SECONDS for a, b in pairs)


def grown(before: Reading | None, now: Reading, name: str) -> float | None:
    """What came to a counter between two readings; None where that cannot be known."""
    if before is None or not continuous(before, now) or name not in before.values or name not in now.values:
        return None
    difference = now.values[name] - before.values[name]
    return difference if difference >= 0 else None


def share(part: float | None, whole: float | None) -> float | None:
    """A part of a whole, from 0 to 1; None where there was nothing to have a part of."""
    return None if part is None or not whole else min(part / whole, 1.0)
