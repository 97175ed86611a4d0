"""What the server is at: its counters, its sessions, and the ratios that people ask for."""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.mariadb.counters import BY_VARIABLE, COUNTERS, Reading, grown, numbers, share
from collectors.mariadb.failures import ServerError
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.sql import Query
from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

VERSION = Metric(
    name="mysql_version_info",
    help="Which server this is; always 1",
    labels=("version", "short_version", "version_comment"),
    compatible=True,
)
USED_RATIO = Metric(
    name="toban_mysql_connections_used_ratio",
    help="Open connections as a share of max_connections",
    unit=Unit.RATIO,
    kept=True,
)
HIT_RATIO = Metric(
    name="toban_mysql_buffer_pool_hit_ratio",
    help="Share of InnoDB's page requests since the last reading that its buffer pool answered; absent without any",
    unit=Unit.RATIO,
    kept=True,
)
DISK_TABLES_RATIO = Metric(
    name="toban_mysql_tmp_disk_tables_ratio",
    help="Share of the temporary tables since the last reading that were made on disk; absent without any",
    unit=Unit.RATIO,
)
DIRTY_RATIO = Metric(
    name="toban_mysql_buffer_pool_dirty_ratio",
    help="Share of InnoDB's buffer pool that is still to be written",
    unit=Unit.RATIO,
)
SESSIONS = Metric(
    name="toban_mysql_sessions",
    help="Sessions but Toban's own by state; `waiting` is for a table lock and also counts as active",
    labels=("state",),
    kept=True,
)
LONGEST_QUERY = Metric(
    name="toban_mysql_longest_query_seconds",
    help="Age of the oldest statement that a client has running",
    unit=Unit.SECONDS,
    kept=True,
)
LONGEST_TRANSACTION = Metric(
    name="toban_mysql_longest_transaction_seconds",
    help="Age of the oldest InnoDB transaction that is open",
    unit=Unit.SECONDS,
    kept=True,
)
TRANSACTIONS = Metric(name="toban_mysql_transactions", help="InnoDB transactions that are open")
ROW_WAITS = Metric(
    name="toban_mysql_row_lock_waiting", help="InnoDB transactions that wait for a row lock now", kept=True
)
REPLICAS = Metric(name="toban_mysql_replicas_connected", help="Replicas that fetch the binary log now", kept=True)
_STATES = ("active", "idle", "waiting")

_STATUS = Query("status")
_LIMITS = Query("settings")
_TRANSACTIONS = Query("transactions")
_SESSIONS = Query("sessions")


class MariadbStatus(Collector[MariadbServer, CollectorSettings]):
    """One look at the counters, one at the transactions, one at the sessions."""

    name = "mariadb_status"
    purpose = "Whether the server has connections to spare, whether its cache is large enough, and who waits for whom."
    kind = Kind.MARIADB
    metrics = (
        *(VERSION, *COUNTERS, USED_RATIO, HIT_RATIO, DISK_TABLES_RATIO, DIRTY_RATIO, SESSIONS, LONGEST_QUERY),
        *(LONGEST_TRANSACTION, TRANSACTIONS, ROW_WAITS, REPLICAS),
    )
    settings_model = CollectorSettings

    def __init__(self, source: MariadbServer, settings: CollectorSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._before: Reading | None = None

    async def collect(self) -> Findings:
        """Measure once."""
        rows = await self.source.fetch(_STATUS, tuple(BY_VARIABLE))
        reading = Reading(at=self.clock.monotonic(), values=numbers({r["variable_name"]: r["value"] for r in rows}))
        limits = await self.source.fetch(_LIMITS, ("max_connections", "version", "version_comment"))
        said = {row["variable_name"].lower(): row["value"] for row in limits}
        batch = Batch(self.clock.now())
        batch.add(VERSION, 1, said["version"], self.source.edition.short, said["version_comment"])
        for variable, metric in BY_VARIABLE.items():
            batch.add(metric, reading.values.get(variable))
        batch.add(USED_RATIO, share(reading.values.get("threads_connected"), float(said["max_connections"])))
        _add_ratios(batch, self._before, reading)
        self._before = reading
        gaps = await self._add_sessions(batch)
        return Findings(samples=batch.samples, gaps=gaps)

    async def _add_sessions(self, batch: Batch) -> tuple[Gap, ...]:
        """Who is there, if we may know."""
        try:
            (transactions,) = await self.source.fetch(_TRANSACTIONS)
        except ServerError as error:
            if error.failure.reason is not Reason.PRIVILEGE:
                raise
            return (_unseen(error),)
        (sessions,) = await self.source.fetch(_SESSIONS)
        batch.add(TRANSACTIONS, transactions["transactions"])
        batch.add(ROW_WAITS, transactions["waiting"])
        batch.add(LONGEST_TRANSACTION, transactions["longest_seconds"])
        for state in _STATES:
            batch.add(SESSIONS, sessions[state], state)
        batch.add(LONGEST_QUERY, sessions["longest_seconds"])
        batch.add(REPLICAS, sessions["replicas"])
        return ()


def _add_ratios(batch: Batch, before: Reading | None, now: Reading) -> None:
    requests, reads = (grown(before, now, f"innodb_buffer_pool_{what}") for what in ("read_requests", "reads"))
    missed = share(reads, requests)
    batch.add(HIT_RATIO, None if missed is None else 1 - missed)
    disk, made = (grown(before, now, f"created_tmp_{what}") for what in ("disk_tables", "tables"))
    batch.add(DISK_TABLES_RATIO, share(disk, made))
    pages = now.values.get("innodb_buffer_pool_pages_total")
    batch.add(DIRTY_RATIO, share(now.values.get("innodb_buffer_pool_pages_dirty"), pages))


def _unseen(error: ServerError) -> Gap:
    detail = "without PROCESS a role sees neither the sessions of others nor their transactions"
    return Gap(what="sessions", reason=Reason.PRIVILEGE, detail=detail, hint=error.failure.hint)
