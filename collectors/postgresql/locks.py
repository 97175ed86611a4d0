"""Locks by mode, who waits, and for whom: one look at the lock table; a second one only when somebody waits.

Both are in the way of nobody who does not take a lock just then.
"""

from typing import Any

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.locks import LockSession, lock_forest
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit
from toban.statements import blot_literals

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
QUERY_LETTERS = 1000
_TOLD = (
    *("pid", "database", "user", "application", "state", "wait_event", "wait_seconds", "transaction_seconds"),
    *("lock_type", "lock_mode", "relation"),
)
WAITING = Metric(
    name="toban_pg_locks_waiting",
    help="Locks that sessions of the database wait for",
    labels=("datname",),
)


WAITERS = Metric(name="toban_pg_lock_waiters", help="Sessions that wait for a lock, in any database", kept=True)
ROOTS = Metric(
    name="toban_pg_lock_root_blockers",
    help="Sessions and prepared transactions that others wait for and that wait for nobody themselves",
    kept=True,
)
LONGEST = Metric(
    name="toban_pg_lock_longest_wait_seconds",
    help="Since when the session that has waited longest for a lock has been waiting; 0 when nobody waits",
    unit=Unit.SECONDS,
    kept=True,
)


class LocksSettings(CollectorSettings):
    """How often, and of how many waiters the trees are made."""

    shown: int = Field(default=100, ge=0, le=1000)


class Locks(Collector[PostgresServer, LocksSettings]):
    """The lock table, counted; and while somebody waits, who is in whose way."""

    name = "locks"
    purpose = (
        "Whether somebody waits, for how long, and for whom: the one session at the root that holds up the others."
    )
    kind = Kind.POSTGRESQL
    metrics = (COUNT, WAITING, WAITERS, ROOTS, LONGEST)
    settings_model = LocksSettings
    query = Query("locks")
    sessions = Query("lock_sessions")

    async def collect(self) -> Findings:
        """Count once; who is in whose way is asked while somebody waits, in whatever database."""
        counted = await self.source.fetch(self.query)
        batch = Batch(self.clock.now())
        _add_counts(batch, [row for row in counted if self.source.databases.chosen(row["datname"])])
        somebody = any(row["waiters"] for row in counted)
        drawn = somebody and self.settings.shown > 0
        rows = await self.source.fetch(self.sessions, self.settings.shown) if drawn else []
        found = tuple(_session(row) for row in rows)
        everywhere = next(iter(rows or counted), {"waiters": 0, "longest": 0.0})
        batch.add(WAITERS, everywhere["waiters"])
        batch.add(ROOTS, sum(node.root for node in lock_forest(found)) if drawn or not somebody else None)
        batch.add(LONGEST, everywhere["longest"])
        return Findings(samples=batch.samples, gaps=_unseen(sum(row["hidden"] for row in rows)), rows=found)


def _add_counts(batch: Batch, rows: list[Any]) -> None:
    """Each database with every mode: one that nobody holds counts zero."""
    counts: dict[str, dict[str, int]] = {}
    waiting: dict[str, int] = {}
    for row in rows:
        datname = row["datname"]
        waiting[datname] = waiting.get(datname, 0) + row["waiting"]
        held = counts.setdefault(datname, dict.fromkeys(MODES, 0))
        if row["mode"] is not None:
            held[row["mode"]] = row["locks"]
    for datname, held in counts.items():
        for mode, locks in held.items():
            batch.add(COUNT, locks, datname, mode)
        batch.add(WAITING, waiting[datname], datname)


def _session(row: Any) -> LockSession:  # noqa: ANN401 - asyncpg ships no types
    told = {name: row[name] for name in _TOLD}
    return LockSession(
        key=f"prepared {row['gid']}" if row["gid"] else str(row["pid"]),
        prepared=row["gid"],
        blocked_by=tuple(row["blocked_by"]),
        query=" ".join(blot_literals(_text(row["query"])).split()),
        **told,
    )


def _text(raw: bytes) -> str:
    """A statement as its session's database wrote it, in whatever encoding: that is not told, so some may be lost."""
    return raw.decode("utf-8", "replace")[:QUERY_LETTERS]


def _unseen(hidden: int) -> tuple[Gap, ...]:
    if not hidden:
        return ()
    detail = "who waits and for whom is known, but not what they do nor since when"
    return (Gap(what="sessions of other roles", reason=Reason.PRIVILEGE, count=hidden, detail=detail, hint=SETUP_HINT),)
