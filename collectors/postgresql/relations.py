"""The largest tables of every database: use, vacuum, size; one database after the other, and no lock is waited for."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import asyncpg
from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import DownError, PostgresServer, Visit
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Sample, Type, Unit
from toban.secrets import Dsn

OTHER = "other"
LAST_START_RATIO = 0.75  # of the turn's time: later than that no further visit begins
RESERVE_SECONDS = 1.0  # of the turn's time stay for parting and reporting
_LABELS = ("datname", "schemaname", "relname")

_COUNTERS = {
    "seq_scan": "Sequential scans of the table",
    "seq_tup_read": "Live rows fetched by sequential scans",
    "idx_scan": "Index scans of the table",
    "idx_tup_fetch": "Live rows fetched by index scans",
    "n_tup_ins": "Rows inserted",
    "n_tup_upd": "Rows updated",
    "n_tup_hot_upd": "Rows updated without a new index entry",
    "n_tup_del": "Rows deleted",
    "vacuum_count": "Manual vacuums",
    "autovacuum_count": "Vacuums by autovacuum",
    "analyze_count": "Manual analyzes",
    "autoanalyze_count": "Analyzes by autovacuum",
}
_GAUGES = {
    "n_live_tup": "Estimated live rows",
    "n_dead_tup": "Estimated dead rows",
    "n_mod_since_analyze": "Estimated rows changed since the last analyze",
    "last_vacuum": "When it was last vacuumed by hand, in seconds since 1970; 0 when never",
    "last_autovacuum": "When autovacuum last vacuumed it, in seconds since 1970; 0 when never",
    "last_analyze": "When it was last analyzed by hand, in seconds since 1970; 0 when never",
    "last_autoanalyze": "When autovacuum last analyzed it, in seconds since 1970; 0 when never",
}
_SIZES = {
    "table_size_bytes": "Size of the table with TOAST and its maps; for `other` as vacuum last saw it",
    "index_size_bytes": "Size of the table's indexes; for `other` as vacuum last saw it",
}


def _metrics(columns: dict[str, str], *, kind: Type = Type.GAUGE, unit: Unit = Unit.NONE) -> dict[str, Metric]:
    """Columns of pg_stat_user_tables by the names of postgres_exporter."""
    return {
        column: Metric(
            name=f"pg_stat_user_tables_{column}", help=text, type=kind, unit=unit, labels=_LABELS, compatible=True
        )
        for column, text in columns.items()
    }


_COLUMNS = _metrics(_COUNTERS, kind=Type.COUNTER) | _metrics(_GAUGES) | _metrics(_SIZES, unit=Unit.BYTES)
OTHERS = Metric(
    name="toban_pg_relations_other_relations",
    help="Tables that the row `other` of their database sums up",
    labels=("datname",),
)
SKIPPED = Metric(
    name="toban_pg_relations_skipped",
    help="Tables whose size was not measured: locked ones one by one, and for other reasons databases as a whole",
    labels=("datname", "reason"),
)

LEAST_SHARE = 5
_DATABASES = Query("visited_databases")
_RELATIONS = Query("relations")


class RelationsSettings(CollectorSettings):
    """How often, how many tables, and how long to rest between two databases.

    `top` is for the whole server, shared out evenly among its databases: twenty-two series a table add up.
    """

    every: Duration = 600.0
    timeout: Duration = 60.0
    top: int = Field(default=100, ge=1, le=10000)
    pause: Duration = 0.05


class Relations(Collector[PostgresServer, RelationsSettings]):
    """Visits the databases in turn. Those that a turn does not reach come first in the next, and keep their values."""

    name = "relations"
    kind = Kind.POSTGRESQL
    lane = "databases"
    metrics = (*_COLUMNS.values(), OTHERS, SKIPPED)
    settings_model = RelationsSettings

    def __init__(self, source: PostgresServer, settings: RelationsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._visited_at: dict[str, float] = {}
        self._measured: dict[str, tuple[Sample, ...]] = {}
        self._share = settings.top

    async def collect(self) -> Findings:
        """As many databases as the turn's time allows, the longest unvisited first."""
        deadline = self.clock.monotonic() + self.settings.timeout
        databases = await self._listed()
        self._share = share(self.settings.top, len(databases))
        waiting = sorted(databases, key=lambda name: (self._visited_at.get(name, float("-inf")), name))
        gaps: list[Gap] = []
        while waiting and self._time_left(deadline) > self.settings.timeout * (1 - LAST_START_RATIO):
            gaps += await self._visit(waiting.pop(0), deadline)
            await asyncio.sleep(self.settings.pause if waiting else 0)
        if waiting:
            gaps.append(_put_off(waiting))
        return Findings(samples=tuple(self._all()), gaps=tuple(gaps))

    async def _listed(self) -> list[str]:
        """The databases in scope; what is remembered of others goes."""
        async with self.source.visiting(home(self.source.dsn)) as visit:
            rows = await visit.fetch(_DATABASES)
        names = [row["datname"] for row in rows if self.source.databases.chosen(row["datname"])]
        self._visited_at = {name: at for name, at in self._visited_at.items() if name in names}
        self._measured = {name: samples for name, samples in self._measured.items() if name in names}
        return names

    async def _visit(self, database: str, deadline: float) -> list[Gap]:
        """Measure one database. What goes wrong there is a gap, unless the server itself is gone."""
        batch = Batch(self.clock.now())
        self._visited_at[database] = self.clock.monotonic()
        try:
            async with (
                asyncio.timeout(self._time_left(deadline) - RESERVE_SECONDS),
                self.source.visiting(database) as visit,
            ):
                gaps = await self._measure(batch, database, visit)
        except DownError:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            failure = self.source.explain(error)
            gaps = [_gap(database, failure)]
            batch = Batch(self.clock.now())
            batch.add(SKIPPED, 1, database, failure.reason)
        self._measured[database] = batch.samples
        return gaps

    async def _measure(self, batch: Batch, database: str, visit: Visit) -> list[Gap]:
        rows = await visit.fetch(_RELATIONS, self._share)
        for row in rows:
            _add(batch, database, row)
        locked = sum(row["locked"] for row in rows)
        batch.add(SKIPPED, locked or None, database, Reason.LOCKED)
        detail = "somebody holds or awaits ACCESS EXCLUSIVE on them, so that they were not measured"
        gap = Gap(what=f"sizes of relations in {database}", reason=Reason.LOCKED, count=locked, detail=detail)
        return [gap] if locked else []

    def _time_left(self, deadline: float) -> float:
        return deadline - self.clock.monotonic()

    def _all(self) -> Iterator[Sample]:
        for samples in self._measured.values():
            yield from samples


def share(top: int, databases: int) -> int:
    """How many tables each database may show: an even share of the server's, but a few in any case."""
    return min(top, max(LEAST_SHARE, top // max(1, databases)))


def home(dsn: Dsn) -> str:
    """The database that a DSN names, else the one that every server has."""
    named = dict(dsn.parameters)
    return unquote(dsn.parts.path.lstrip("/")) or named.get("dbname") or named.get("database") or "postgres"


def _add(batch: Batch, database: str, row: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    labels = (database, row["schemaname"], row["relname"])
    for column, metric in _COLUMNS.items():
        batch.add(metric, row[column], *labels)
    batch.add(OTHERS, row["others"], database)


def _gap(database: str, failure: Failure) -> Gap:
    return Gap(what=f"relations of {database}", reason=failure.reason, detail=failure.detail, hint=failure.hint)


def _put_off(databases: list[str]) -> Gap:
    detail = f"the turn's time ran out; {databases[0]} comes first in the next turn"
    return Gap(
        what="databases",
        reason=Reason.TIMEOUT,
        count=len(databases),
        detail=detail,
        hint="raise `timeout` or lower `top` of `collect: relations:`",
    )
