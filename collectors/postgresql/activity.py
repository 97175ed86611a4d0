"""Sessions: how many, in what state, for how long, and how near the limit. One query; never a statement's text."""

import json
from typing import Any

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit
from toban.statements import RunningQuery

OTHER = "other"
_LABELS = ("datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event")

COUNT = Metric(
    name="pg_stat_activity_count",
    help="Sessions of databases that share these labels",
    labels=_LABELS,
    compatible=True,
)
MAX_TX_DURATION = Metric(
    name="pg_stat_activity_max_tx_duration",
    help="Age of the oldest open transaction among them, in seconds",
    labels=_LABELS,
    compatible=True,
)
OTHER_SETS = Metric(
    name="toban_pg_activity_other_sets",
    help="Label sets of pg_stat_activity_count that its series `other` took in",
)
USED_RATIO = Metric(
    name="pg_connections_used_ratio",
    help="Client connections as a share of those an ordinary role can open",
    unit=Unit.RATIO,
    kept=True,
)
LIMIT = Metric(
    name="toban_pg_connections_limit",
    help="Connections that ordinary roles can open: max_connections less the reserved ones",
    kept=True,
)
CONNECTIONS = Metric(
    name="toban_pg_connections",
    help="Client connections but Toban's own by state; `waiting` is for a lock, each connection counts once",
    labels=("state",),
    kept=True,
)
OWN = Metric(name="toban_pg_own_connections", help="Connections that Toban itself holds", kept=True)
LONGEST_QUERY = Metric(
    name="pg_longest_query_seconds",
    help="Age of the oldest statement that a client has running",
    unit=Unit.SECONDS,
    kept=True,
)
LONGEST_TRANSACTION = Metric(
    name="pg_longest_transaction_seconds",
    help="Age of the oldest transaction that a client has open",
    unit=Unit.SECONDS,
    kept=True,
)
LONGEST_IDLE = Metric(
    name="toban_pg_longest_idle_in_transaction_seconds",
    help="Longest time a client has done nothing within an open transaction",
    unit=Unit.SECONDS,
    kept=True,
)
OLDEST_XMIN = Metric(
    name="toban_pg_oldest_xmin_age",
    help="Transactions since the oldest snapshot that still keeps dead rows: of sessions, slots, prepared transactions",
    kept=True,
)
_STATES = ("active", "idle", "idle_in_transaction", "waiting")
_TOTALS = (
    (LIMIT, "usable"),
    (OWN, "own"),
    (LONGEST_QUERY, "longest_query"),
    (LONGEST_TRANSACTION, "longest_transaction"),
    (LONGEST_IDLE, "longest_idle"),
    (OLDEST_XMIN, "oldest_xmin"),
)


class ActivitySettings(CollectorSettings):
    """How fine the picture is."""

    label_sets: int = Field(default=100, ge=0, le=10_000)
    slow: Duration = 5.0
    shown: int = Field(default=20, ge=0, le=1000)


class Activity(Collector[PostgresServer, ActivitySettings]):
    """What the server's sessions are at."""

    name = "activity"
    purpose = (
        "Whether connections run out, who holds a transaction open for hours, and what keeps dead rows from "
        "being removed."
    )
    kind = Kind.POSTGRESQL
    metrics = (COUNT, MAX_TX_DURATION, OTHER_SETS, USED_RATIO, CONNECTIONS, *(metric for metric, _ in _TOTALS))
    settings_model = ActivitySettings
    query = Query("activity")

    async def collect(self) -> Findings:
        """One look at the sessions."""
        wanted = self.settings
        (row,) = await self.source.fetch(self.query, wanted.label_sets, wanted.slow, wanted.shown)
        batch = Batch(self.clock.now())
        _add_totals(batch, row)
        _add_label_sets(batch, json.loads(row["sets"] or "[]"), json.loads(row["others"]))
        running = (RunningQuery(**session) for session in json.loads(row["long_running"] or "[]"))
        return Findings(samples=batch.samples, gaps=_unseen(row["hidden"]), rows=tuple(running))


def _add_totals(batch: Batch, row: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    for metric, column in _TOTALS:
        batch.add(metric, row[column])
    batch.add(USED_RATIO, row["used"] / row["usable"] if row["usable"] else None)
    for state in _STATES:
        batch.add(CONNECTIONS, row[state], state)
    batch.add(CONNECTIONS, row["clients"] - sum(row[state] for state in _STATES), OTHER)


def _add_label_sets(batch: Batch, sets: list[list[Any]], others: list[Any]) -> None:
    for *labels, sessions, seconds in sets:
        batch.add(COUNT, sessions, *labels)
        batch.add(MAX_TX_DURATION, seconds, *labels)
    taken_in, sessions, seconds = others
    batch.add(OTHER_SETS, taken_in)
    if taken_in:
        batch.add(COUNT, sessions, *(OTHER for _ in _LABELS))
        batch.add(MAX_TX_DURATION, seconds, *(OTHER for _ in _LABELS))


def _unseen(hidden: int) -> tuple[Gap, ...]:
    if not hidden:
        return ()
    detail = "their state and age are not to be seen; they count as connections in state `other`"
    return (Gap(what="sessions of other roles", reason=Reason.PRIVILEGE, count=hidden, detail=detail, hint=SETUP_HINT),)
