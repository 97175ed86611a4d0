"""The indexes of every database: those that are one too many, of no use or missing; and the largest, with their use."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import asyncpg
from pydantic import Field

from collectors.postgresql.course import Course, Growth, Reading, part
from collectors.postgresql.index_ages import Ages, recalled
from collectors.postgresql.server import PostgresServer, Visit
from collectors.postgresql.sql import Query
from collectors.postgresql.tour import Stay, Touring, TourSettings, locked_gap, skipped_metric
from toban.clock import Clock
from toban.config import Duration
from toban.indexes import Fault, IndexFinding, IndexSurvey, MissingIndex, Place
from toban.memories import Memory
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

MOST_FOUND = 200  # of each kind in a database
LARGE_PAGES = 1000  # 8 MB: a smaller table is read from end to end in no time
LEAST_SCANS = 10  # a nightly dump reads every table once
LEAST_ROWS = 10_000  # a scan that stops sooner has what it looked for
HOUR = 3600.0
_LABELS = ("datname", "schemaname", "relname", "indexrelname")
_KIND = ("datname", "kind")
_INDEX_FAULTS = (Fault.INVALID, Fault.DUPLICATE, Fault.REDUNDANT, Fault.UNUSED)

FOUND = Metric(
    name="toban_pg_index_findings",
    help="Indexes that are invalid, duplicate, redundant or unused; tables that lack one: scanned, unindexed_key",
    labels=_KIND,
)
FOUND_BYTES = Metric(
    name="toban_pg_index_findings_bytes",
    help="Size of the indexes that are invalid, duplicate, redundant or unused; one may be several of these",
    unit=Unit.BYTES,
    labels=_KIND,
)
COUNTED = Metric(
    name="toban_pg_index_statistics_age_seconds",
    help="How long the use of indexes is counted: since a reset, a promotion or the start; 0 without track_counts",
    unit=Unit.SECONDS,
    labels=("datname",),
)
SIZE = Metric(
    name="toban_pg_index_size_bytes",
    help="Size of the index, as vacuum, analyze or its build last saw it",
    unit=Unit.BYTES,
    labels=_LABELS,
)
SCANS = Metric(name="toban_pg_index_scans_total", help="Scans of the index", type=Type.COUNTER, labels=_LABELS)
CACHE_HIT = Metric(
    name="toban_pg_index_cache_hit_ratio",
    help="Share of the index's block accesses that shared buffers answered since the last reading",
    unit=Unit.RATIO,
    labels=_LABELS,
)
OTHERS = Metric(
    name="toban_pg_indexes_other_indexes",
    help="Indexes that the row `other` of their database sums up",
    labels=("datname",),
)
SKIPPED = skipped_metric("indexes", "Indexes")

_SURVEY, _FINDINGS, _SIZES = Query("index_survey"), Query("index_findings"), Query("index_sizes")
_TIMELINE = Query("timeline_began")
_SCANNED, _KEYS = Query("scanned_tables"), Query("unindexed_keys")
Row = Mapping[str, Any]


class IndexesSettings(TourSettings):
    """How often, how many indexes have series of their own, and when one without use is called unused."""

    every: Duration = 3600.0
    top: int = Field(default=50, ge=1, le=10000)
    unused_after: Duration = 7 * 86400.0


class Indexes(Touring[IndexesSettings]):
    """What is wrong with the indexes of each database, and the largest of them."""

    name = "indexes"
    purpose = (
        "Which indexes only cost: never used, doubled, contained in another, left broken by a failed build; "
        "and where one is missing."
    )
    metrics = (FOUND, FOUND_BYTES, COUNTED, SIZE, SCANS, CACHE_HIT, OTHERS, SKIPPED)
    settings_model = IndexesSettings
    skipped = SKIPPED

    def __init__(self, source: PostgresServer, settings: IndexesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._blocks = Course()
        self._scans = Course()
        self._ages: Ages | None = None
        self._remembered = ""

    async def collect(self) -> Findings:
        """A tour, and what is to be remembered of it when that has changed."""
        await self.recollect(self._take)
        found = await super().collect()
        if self._ages is None:
            return found
        self._ages.toured = True
        before, self._remembered = self._remembered, self._ages.body
        if self._remembered == before:
            return found
        return replace(found, rows=(*found.rows, Memory(name=self.title, body=self._remembered)))

    def forget(self, present: list[str]) -> None:
        """Drop what is remembered of databases that went, too."""
        super().forget(present)
        self._blocks.forget(present)
        self._scans.forget(present)
        if self._ages is not None:
            self._ages.forget(present)

    async def measure(self, database: str, visit: Visit) -> Stay:
        """Six short questions: none of them opens a table."""
        batch = Batch(self.clock.now())
        (survey,) = await visit.fetch(_SURVEY)
        began_at, unseen = await self._timeline_began(visit, database)
        counted_seconds = survey["taken_at"] - max(_counted_since(survey), began_at) if survey["counting"] else 0.0
        batch.add(COUNTED, counted_seconds, database)
        found = await visit.fetch(_FINDINGS, MOST_FOUND)
        findings = self._findings(batch, database, found)
        missing = [
            *self._scanned(database, await visit.fetch(_SCANNED, LARGE_PAGES, MOST_FOUND), survey),
            *(_unindexed(database, row) for row in await visit.fetch(_KEYS, LARGE_PAGES, MOST_FOUND)),
        ]
        for fault in (Fault.SCANNED, Fault.UNINDEXED_KEY):
            batch.add(FOUND, sum(one.fault is fault for one in missing), database, fault)
        self._add_largest(batch, database, await visit.fetch(_SIZES, self.share), survey)
        held = sum(row["held"] for row in found)
        batch.add(SKIPPED, held or None, database, Reason.LOCKED)
        judged = IndexSurvey(
            database=database,
            system_identifier=survey["system_identifier"],
            in_recovery=survey["in_recovery"],
            standbys=survey["standbys"],
            counted_seconds=counted_seconds,
            enough_seconds=self.settings.unused_after,
            complete=not held and all(row["counted"] <= MOST_FOUND for row in found),
        )
        gaps = (*locked_gap("indexes", database, held), *unseen)
        return Stay(samples=batch.samples, rows=(judged, *findings, *missing), gaps=gaps)

    def _take(self, body: str | None) -> None:
        self._ages = recalled(body)

    async def _timeline_began(self, visit: Visit, database: str) -> tuple[float, tuple[Gap, ...]]:
        """When a promotion gave it another part, since when the use of indexes tells something; 0 for never."""
        try:
            (row,) = await visit.fetch(_TIMELINE)
        except asyncpg.InsufficientPrivilegeError as error:
            failure = self.source.explain(error)
            what = f"the last promotion, for unused indexes in {database}"
            return 0.0, (Gap(what=what, reason=failure.reason, detail=failure.detail, hint=failure.hint),)
        return row["began_at"] or 0.0, ()

    def _findings(self, batch: Batch, database: str, rows: list[Any]) -> list[IndexFinding]:
        """Counts and bytes for each kind, none included; and the indexes themselves, but for those that are held."""
        totals = {row["kind"]: (row["counted"], row["counted_bytes"]) for row in rows}
        for fault in _INDEX_FAULTS:
            count, size_bytes = totals.get(fault, (0, 0))
            batch.add(FOUND, count, database, fault)
            batch.add(FOUND_BYTES, size_bytes, database, fault)
        unread = [row["oid"] for row in rows if row["kind"] == Fault.UNUSED]
        young = self._young(database, unread)
        return [_finding(database, row, young) for row in rows if not row["held"]]

    def _young(self, database: str, unread: list[int]) -> dict[int, float]:
        """How long those have been there that came after the first look."""
        if self._ages is None:
            return dict.fromkeys(unread, 0.0)
        return self._ages.look(database, unread, self.clock.now())

    def _scanned(self, database: str, rows: list[Any], survey: Row) -> list[MissingIndex]:
        """Large tables whose rows are read again and again, by the last interval; by all that is counted at first."""
        counters = {row["oid"]: (row["seq_scan"], row["seq_tup_read"]) for row in rows}
        growth = self._scans.enter(database, self._reading(survey, counters))
        counted_seconds = survey["taken_at"] - _counted_since(survey)
        found = []
        for row in rows:
            grown = growth.of(row["oid"])
            scans, rows_read = grown or counters[row["oid"]]
            seconds = counted_seconds if grown is None else growth.seconds
            if lacks_index(scans, rows_read, seconds):
                found.append(_missing(database, row, scans=scans, rows_read=rows_read, seconds=seconds))
        return found

    def _add_largest(self, batch: Batch, database: str, rows: list[Any], survey: Row) -> None:
        counters = {row["oid"]: (row["blks_hit"], row["blks_fetched"]) for row in rows if row["oid"] is not None}
        growth = self._blocks.enter(database, self._reading(survey, counters))
        for row in rows:
            labels = (database, row["schemaname"], row["relname"], row["indexrelname"])
            batch.add(SIZE, row["size_bytes"], *labels)
            batch.add(SCANS, row["scans"], *labels)
            batch.add(CACHE_HIT, _hits(growth, row["oid"]), *labels)
            batch.add(OTHERS, row["others"], database)

    def _reading(self, survey: Row, counters: Mapping[int, tuple[int, ...]]) -> Reading:
        epoch = (survey["reset_at"], survey["started_at"])
        return Reading(epoch=epoch, at=self.clock.monotonic(), counters=counters)


def lacks_index(scans: int, rows_read: int, seconds: float) -> bool:
    """Whether so many scans look for few rows among many: often, and each over thousands."""
    often = scans >= LEAST_SCANS and scans * HOUR >= seconds
    return often and rows_read >= scans * LEAST_ROWS


def _counted_since(survey: Row) -> float:
    """Counters without a reset may have been lost in a crash, after which the server was started."""
    return float(survey["started_at"] if survey["reset_at"] is None else survey["reset_at"])


def _hits(growth: Growth, oid: int) -> float | None:
    grown = growth.of(oid)
    return None if grown is None else part(*grown)


def _finding(database: str, row: Row, young: Mapping[int, float]) -> IndexFinding:
    other = Place(schema=row["other_schema"], name=row["other_name"]) if row["other_oid"] is not None else None
    return IndexFinding(
        fault=Fault(row["kind"]),
        database=database,
        oid=row["oid"],
        index=Place(schema=row["schemaname"], name=row["indexrelname"]),
        table=row["relname"],
        size_bytes=row["size_bytes"],
        scans=row["scans"],
        young_seconds=young.get(row["oid"]),
        needed=row["needed"],
        unique=row["is_unique"],
        partitioned=row["partitioned"],
        building=row["building"],
        other=other,
        other_oid=row["other_oid"],
    )


def _missing(database: str, row: Row, *, scans: int, rows_read: int, seconds: float) -> MissingIndex:
    return MissingIndex(
        fault=Fault.SCANNED,
        database=database,
        table=Place(schema=row["schemaname"], name=row["relname"]),
        size_bytes=row["size_bytes"],
        scans=scans,
        rows_read=rows_read,
        seconds=seconds,
    )


def _unindexed(database: str, row: Row) -> MissingIndex:
    columns: Iterable[str] = row["columns"]
    return MissingIndex(
        fault=Fault.UNINDEXED_KEY,
        database=database,
        table=Place(schema=row["schemaname"], name=row["relname"]),
        size_bytes=row["size_bytes"],
        columns=tuple(columns),
        constraint=row["conname"],
        referenced=row["referenced"],
        partitioned=row["partitioned"],
        cost_bytes=row["cost_bytes"],
    )
