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
        """Count once; a mode that nobody holds counts zero."""
        counted = await self.source.fetch(self.query)
        counts: dict[str, dict[str, int]] = {}
        waiting: dict[str, int] = {}
        for datname, mode, locks, waits in counted:
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
        somebody = any(row["waiting"] for row in counted)
        rows = await self.source.fetch(self.sessions, self.settings.shown) if somebody else []
        found = tuple(_session(row) for row in rows)
        batch.add(WAITERS, rows[0]["waiters"] if rows else 0)
        batch.add(ROOTS, sum(node.root for node in lock_forest(found)))
        batch.add(LONGEST, rows[0]["longest"] if rows else 0)
        return Findings(samples=batch.samples, gaps=_unseen(sum(row["hidden"] for row in rows)), rows=found)


def _session(row: Any) -> LockSession:  # noqa: ANN401 - asyncpg ships no types
    told = {name: row[name] for name in _TOLD}
    return LockSession(
        key=f"prepared {row['gid']}" if row["gid"] else str(row["pid"]),
        prepared=row["gid"],
        blocked_by=tuple(row["blocked_by"]),
        query=" ".join(blot_literals(row["query"]).split()),
        **told,
    )


def _unseen(hidden: int) -> tuple[Gap, ...]:
    if not hidden:
        return ()
    detail = "who waits and for whom is known, but not what they do nor since when"
    return (Gap(what="sessions of other roles", reason=Reason.PRIVILEGE, count=hidden, detail=detail, hint=SETUP_HINT),)
