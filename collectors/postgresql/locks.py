"""Locks by mode, and who waits: one look at the lock table, in the way of nobody who does not take a lock just then."""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.samples import Batch, Findings, Metric

MODES = (
    "accesssharelock",
    "rowsharelock",
    "rowexclusivelock",
    "shareupdateexclusivelock",
    "sharelock",
    "sharerowexclusivelock",
    "exclusivelock",
    "accessexclusivelock",
    "sireadlock",
)
COUNT = Metric(
    name="pg_locks_count",
    help="Locks held or waited for in the database, by mode; Toban's own left out",
    labels=("datname", "mode"),
    compatible=True,
)
WAITING = Metric(
    name="toban_pg_locks_waiting",
    help="Locks that sessions of the database wait for",
    labels=("datname",),
)


class Locks(Collector[PostgresServer, CollectorSettings]):
    """The lock table, counted."""

    name = "locks"
    kind = Kind.POSTGRESQL
    metrics = (COUNT, WAITING)
    settings_model = CollectorSettings
    query = Query("locks")

    async def collect(self) -> Findings:
        """Count once; a mode that nobody holds counts zero."""
        counts: dict[str, dict[str, int]] = {}
        waiting: dict[str, int] = {}
        for datname, mode, locks, waits in await self.source.fetch(self.query):
            if not self.source.databases.chosen(datname):
                continue
            waiting[datname] = waiting.get(datname, 0) + waits
            held = counts.setdefault(datname, dict.fromkeys(MODES, 0))
            if mode is not None:
                held[mode] = locks
        batch = Batch(self.clock.now())
        for datname, held in counts.items():
            for mode, locks in held.items():
                batch.add(COUNT, locks, datname, mode)
            batch.add(WAITING, waiting[datname], datname)
        return Findings(samples=batch.samples)
