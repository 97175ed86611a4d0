"""How much room tables and btree indexes take without need, estimated by statistics: no table is read for it."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from collectors.postgresql.server import Visit
from collectors.postgresql.sql import Query
from collectors.postgresql.tour import Stay, Touring, TourSettings, locked_gap, skipped_metric
from toban.bloat import Bloat
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Metric, Unit

OTHER = "other"
MOST_MEASURED = 500  # tables, and indexes, of a database; the largest
MOST_TOLD = 100  # rows for advice, of each database
_TABLE = ("datname", "schemaname", "relname")
_INDEX = (*_TABLE, "indexrelname")


def _metric(name: str, help: str, unit: Unit, labels: tuple[str, ...], *, kept: bool = False) -> Metric:  # noqa: A002 - the field's name
    return Metric(name=f"toban_pg_{name}", help=help, unit=unit, labels=labels, kept=kept)


TABLE_BYTES = _metric(
    "table_bloat_bytes", "Estimated size of dead rows and free space in the table, without TOAST", Unit.BYTES, _TABLE
)
TABLE_RATIO = _metric("table_bloat_ratio", "The estimate as a share of the table's size", Unit.RATIO, _TABLE)
INDEX_BYTES = _metric(
    "index_bloat_bytes", "Estimated size of what the btree index would not have if built anew", Unit.BYTES, _INDEX
)
INDEX_RATIO = _metric("index_bloat_ratio", "The estimate as a share of the index's size", Unit.RATIO, _INDEX)
TOTAL = _metric(
    "bloat_bytes",
    "Estimated bloat of the 500 largest tables, or indexes, of the database together, as far as it can be estimated",
    Unit.BYTES,
    ("datname", "kind"),
    kept=True,
)
SKIPPED = skipped_metric("bloat", "Tables and indexes")
TABLES, BTREES = Query("bloat_tables"), Query("bloat_indexes")
_WHY = {
    "analyze": (
        Reason.NOT_FOUND,
        "they were never analyzed, so that nobody knows how many rows they have",
        "ANALYZE them; autovacuum does once it is on and they change",
    ),
    "statistics": (
        Reason.PRIVILEGE,
        "the widths of their columns are not known: no statistics, or the role may not see them",
        "ANALYZE them, and GRANT SELECT on them (or pg_read_all_data) to the role in `dsn`",
    ),
}


class BloatSettings(TourSettings):
    """Seldom, since bloat grows slowly. How many tables, and as many indexes, have series of their own."""

    every: Duration = 21600.0
    top: int = Field(default=20, ge=1, le=10000)


class BloatCollector(Touring[BloatSettings]):
    """The most bloated tables and indexes of each database."""

    name = "bloat"
    purpose = "Which tables and indexes hold more air than rows, and how much a rebuild would give back."
    metrics = (TABLE_BYTES, TABLE_RATIO, INDEX_BYTES, INDEX_RATIO, TOTAL, SKIPPED)
    settings_model = BloatSettings
    skipped = SKIPPED

    async def measure(self, database: str, visit: Visit) -> Stay:
        """Two questions, each answered by the catalogue and the sizes of files."""
        tables = await visit.fetch(TABLES, MOST_MEASURED)
        indexes = await visit.fetch(BTREES, MOST_MEASURED)
        table_bloat, index_bloat = estimates(database, tables), estimates(database, indexes)
        batch = Batch(self.clock.now())
        _add(batch, (TABLE_BYTES, TABLE_RATIO), table_bloat, self.share)
        _add(batch, (INDEX_BYTES, INDEX_RATIO), index_bloat, self.share)
        batch.add(TOTAL, _total(tables, table_bloat), database, "table")
        batch.add(TOTAL, _total(indexes, index_bloat), database, "index")
        held = sum(row["held"] for row in (*tables, *indexes))
        batch.add(SKIPPED, held or None, database, Reason.LOCKED)
        unknown = tuple(_unknown(batch, database, (*tables, *indexes)))
        told = () if self.source.in_recovery else (*table_bloat[:MOST_TOLD], *index_bloat[:MOST_TOLD])
        return Stay(samples=batch.samples, rows=told, gaps=(*locked_gap("bloat", database, held), *unknown))


def estimates(database: str, rows: Sequence[Any]) -> list[Bloat]:
    """Those that can be estimated, the most bloated first. Whatever fits better than thought is not bloated."""
    found = [
        Bloat(
            database=database,
            schema=row["schemaname"],
            table=row["relname"],
            index=row.get("indexrelname", ""),
            size_bytes=row["size_bytes"],
            bloat_bytes=max(row["size_bytes"] - row["ideal_bytes"], 0.0),
        )
        for row in rows
        if row["size_bytes"] is not None and row["ideal_bytes"] is not None
    ]
    return sorted(found, key=lambda one: (-one.bloat_bytes, one.schema, one.table, one.index))


def _total(rows: Sequence[Any], found: Sequence[Bloat]) -> float | None:
    """All that could be estimated; unknown, and not nothing, where there are some and none of them could."""
    return sum(one.bloat_bytes for one in found) if found or not rows else None


def _add(batch: Batch, metrics: tuple[Metric, Metric], found: list[Bloat], top: int) -> None:
    size, ratio = metrics
    for one in found[:top]:
        labels = (one.database, one.schema, one.table, one.index)[: len(size.labels)]
        batch.add(size, one.bloat_bytes, *labels)
        batch.add(ratio, one.ratio, *labels)
    rest = found[top:]
    if rest:
        labels = (rest[0].database, "", *[""] * (len(size.labels) - 3), OTHER)
        batch.add(size, sum(one.bloat_bytes for one in rest), *labels)
        whole = sum(one.size_bytes for one in rest)
        batch.add(ratio, sum(one.bloat_bytes for one in rest) / whole if whole else None, *labels)


def _unknown(batch: Batch, database: str, rows: Sequence[Any]) -> Iterator[Gap]:
    """What could not be estimated, by what is missing."""
    for lacking, (reason, detail, hint) in _WHY.items():
        count = sum(row["unknown"] == lacking and not row["held"] for row in rows)
        batch.add(SKIPPED, count or None, database, reason)
        if count:
            yield Gap(what=f"bloat in {database}", reason=reason, count=count, detail=detail, hint=hint)
