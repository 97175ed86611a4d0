"""The settings that decide how a MariaDB or MySQL server behaves, with mysqld_exporter's names."""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.mariadb.counters import numbers
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.sql import Query
from toban.config import Duration
from toban.samples import Batch, Findings, Metric

_HELP = {
    "innodb_buffer_pool_size": "Bytes of InnoDB's cache",
    "innodb_log_file_size": "Bytes of InnoDB's redo log, or of one of its files",
    "innodb_log_buffer_size": "Bytes of InnoDB's log buffer",
    "innodb_flush_log_at_trx_commit": "1: a commit is safe on disk; 0 and 2 may lose the last second",
    "innodb_io_capacity": "Operations a second that InnoDB takes for its background work",
    "innodb_lock_wait_timeout": "Seconds that a transaction waits for a row lock",
    "innodb_file_per_table": "Whether each table has a file of its own",
    "innodb_doublewrite": "Whether torn pages can be mended",
    "innodb_stats_on_metadata": "Whether looking at metadata computes statistics anew, which is slow",
    "sync_binlog": "1: a commit is safe in the binary log; 0 leaves it to the operating system",
    "log_bin": "Whether there is a binary log",
    "read_only": "Whether ordinary roles may not write",
    "max_connections": "Connections that ordinary roles can open",
    "table_open_cache": "Tables that are kept open",
    "tmp_table_size": "Bytes from which on a temporary table goes to disk",
    "max_heap_table_size": "Bytes that a table in memory may have",
    "sort_buffer_size": "Bytes for each sort",
    "join_buffer_size": "Bytes for each join without an index",
    "max_allowed_packet": "Bytes of the largest statement or row",
    "long_query_time": "Seconds from which on a statement counts as slow",
    "slow_query_log": "Whether slow statements are logged",
    "wait_timeout": "Seconds after which an idle connection is cut",
    "performance_schema": "Whether the server keeps the books on statements",
    "query_cache_size": "Bytes of the query cache; MariaDB only",
}
SETTINGS = {
    name: Metric(name=f"mysql_global_variables_{name}", help=text, compatible=True) for name, text in _HELP.items()
}
_SETTINGS = Query("settings")


class SettingsCadence(CollectorSettings):
    """How often."""

    every: Duration = 300.0


class MariadbSettings(Collector[MariadbServer, SettingsCadence]):
    """The server's settings, which change rarely."""

    name = "mariadb_settings"
    purpose = "What the server is told about memory, durability and limits; the other metrics are read against it."
    kind = Kind.MARIADB
    metrics = tuple(SETTINGS.values())
    settings_model = SettingsCadence

    async def collect(self) -> Findings:
        """Ask once."""
        rows = await self.source.fetch(_SETTINGS, tuple(SETTINGS))
        batch = Batch(self.clock.now())
        for name, value in numbers({row["variable_name"]: row["value"] for row in rows}).items():
            batch.add(SETTINGS[name], value)
        return Findings(samples=batch.samples)
