"""The largest tables of every database: use, vacuum, size; one database after the other, and no lock is waited for."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from collectors.postgresql.course import Course, Growth, Reading, part
from collectors.postgresql.server import PostgresServer, Visit
from collectors.postgresql.sql import Query
from collectors.postgresql.tour import Stay, Touring, TourSettings, locked_gap, skipped_metric
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Reason
from toban.samples import Batch, Metric, Type, Unit

OTHER = "other"
OLDEST_SHOWN = 5
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
SKIPPED = skipped_metric("relations", "Tables whose size was")


def _own(name: str, help: str, unit: Unit = Unit.NONE) -> Metric:  # noqa: A002 - the field's name
    return Metric(name=f"toban_pg_table_{name}", help=help, unit=unit, labels=_LABELS)


_OWN = {
    "heap_bytes": _own("heap_bytes", "Size of the table's rows alone, without TOAST, maps and indexes", Unit.BYTES),
    "toast_bytes": _own("toast_bytes", "Size of what is stored out of line, with its index", Unit.BYTES),
    "vacuum_age": _own(
        "vacuum_age_seconds", "Since it was last vacuumed, by hand or not; absent when never", Unit.SECONDS
    ),
    "analyze_age": _own(
        "analyze_age_seconds", "Since it was last analyzed, by hand or not; absent when never", Unit.SECONDS
    ),
}
CACHE_HIT = _own(
    "cache_hit_ratio",
    "Share of the table's block accesses, TOAST included, that shared buffers answered since the last reading",
    Unit.RATIO,
)
HOT = _own("hot_update_ratio", "Share of the updates since the last reading that needed no new index entry", Unit.RATIO)
FREEZE_AGE = _own(
    "freeze_age_ratio",
    "Age of its oldest row as a share of what makes autovacuum freeze it; the oldest tables of each database only",
    Unit.RATIO,
)

_RELATIONS = Query("relations")
_OLDEST = Query("oldest_tables")


class RelationsSettings(TourSettings):
    """How often, how many tables, and how long to rest between two databases.

    `top` is for the whole server, shared out evenly among its databases: twenty-eight series a table add up.
    """

    every: Duration = 600.0
    top: int = Field(default=100, ge=1, le=10000)


class Relations(Touring[RelationsSettings]):
    """The largest tables of each database, and those that wait longest to be frozen."""

    name = "relations"
    purpose = "Which tables are large, written, scanned from end to end, full of dead rows or long not vacuumed."
    metrics = (*_COLUMNS.values(), *_OWN.values(), CACHE_HIT, HOT, FREEZE_AGE, OTHERS, SKIPPED)
    settings_model = RelationsSettings
    skipped = SKIPPED

    def __init__(self, source: PostgresServer, settings: RelationsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._course = Course()

    def forget(self, present: list[str]) -> None:
        """Drop the counters of databases that went, too."""
        super().forget(present)
        self._course.forget(present)

    async def measure(self, database: str, visit: Visit) -> Stay:
        """The largest, what the others come to, and the oldest."""
        batch = Batch(self.clock.now())
        rows = await visit.fetch(_RELATIONS, self.share)
        growth = self._course.enter(database, _reading(rows, self.clock.monotonic()))
        for row in rows:
            _add(batch, database, row)
            _add_ratios(batch, database, row, growth)
        for row in await visit.fetch(_OLDEST, min(OLDEST_SHOWN, self.share)):
            batch.add(FREEZE_AGE, row["freeze_age"], database, row["schemaname"], row["relname"])
        locked = sum(row["locked"] for row in rows)
        batch.add(SKIPPED, locked or None, database, Reason.LOCKED)
        return Stay(samples=batch.samples, gaps=locked_gap("sizes of relations", database, locked))


def _reading(rows: list[Any], at: float) -> Reading:
    """The counters of this moment that ratios are made of."""
    counters = {
        row["oid"]: (row["blks_hit"], row["blks_fetched"], row["n_tup_hot_upd"], row["n_tup_upd"])
        for row in rows
        if row["oid"] is not None
    }
    epoch = next(((row["counted_since"], row["started_at"]) for row in rows), (None,))
    return Reading(epoch=epoch, at=at, counters=counters)


def _add(batch: Batch, database: str, row: Mapping[str, Any]) -> None:
    labels = (database, row["schemaname"], row["relname"])
    for column, metric in (_COLUMNS | _OWN).items():
        batch.add(metric, row[column], *labels)
    batch.add(OTHERS, row["others"], database)


def _add_ratios(batch: Batch, database: str, row: Mapping[str, Any], growth: Growth) -> None:
    grown = growth.of(row["oid"])
    if grown is not None:
        hit, fetched, hot, updated = grown
        labels = (database, row["schemaname"], row["relname"])
        batch.add(CACHE_HIT, part(hit, fetched), *labels)
        batch.add(HOT, part(hot, updated), *labels)
