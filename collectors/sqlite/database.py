"""An SQLite file's size, free pages, WAL and writers."""

from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.sqlite.file import SqliteFile
from collectors.sqlite.survey import Counts, Survey, survey
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Gap
from toban.samples import Batch, Findings, Metric, Type, Unit

SIZE = Metric(name="toban_sqlite_size_bytes", help="Size of the database file.", unit=Unit.BYTES, kept=True)
WAL = Metric(name="toban_sqlite_wal_bytes", help="Size of the write-ahead log beside it.", unit=Unit.BYTES, kept=True)
PAGES = Metric(name="toban_sqlite_pages", help="Pages of the database, those in the write-ahead log included.")
PAGE_SIZE = Metric(name="toban_sqlite_page_size_bytes", help="Size of a page.", unit=Unit.BYTES)
FREELIST = Metric(
    name="toban_sqlite_freelist_bytes", help="Space of free pages, which VACUUM would give back.", unit=Unit.BYTES
)
FREELIST_RATIO = Metric(name="toban_sqlite_freelist_ratio", help="Share of the pages that are free.", unit=Unit.RATIO)
INFO = Metric(
    name="toban_sqlite_info",
    help="Always 1; the journal mode, as far as the file tells it: wal or rollback.",
    labels=("journal_mode",),
)
SCHEMA_VERSION = Metric(name="toban_sqlite_schema_version", help="Grows with each change of the schema.")
USER_VERSION = Metric(name="toban_sqlite_user_version", help="The application's own number (PRAGMA user_version).")
MODIFIED_AGE = Metric(
    name="toban_sqlite_modified_age_seconds",
    help="How long ago the database or its write-ahead log was last written.",
    unit=Unit.SECONDS,
)
WRITE_LOCKED = Metric(name="toban_sqlite_write_locked", help="1 when somebody held the write lock at this look.")
BUSY = Metric(
    name="toban_sqlite_busy_total",
    help="Looks at which somebody held the write lock or a reader was refused.",
    type=Type.COUNTER,
)


class SqliteSettings(CollectorSettings):
    """Cadence of the cheap look."""

    every: Duration = 60.0


class SqliteCollector(Collector[SqliteFile, SqliteSettings]):
    """One look at the file, for a fraction of a millisecond."""

    name = "sqlite"
    purpose = "Whether the file, its free pages and its WAL stay in bounds, and whether writers queue."
    kind = Kind.SQLITE
    lane = "file"
    metrics: ClassVar = (
        SIZE,
        WAL,
        PAGES,
        PAGE_SIZE,
        FREELIST,
        FREELIST_RATIO,
        INFO,
        SCHEMA_VERSION,
        USER_VERSION,
        MODIFIED_AGE,
        WRITE_LOCKED,
        BUSY,
    )
    settings_model = SqliteSettings

    def __init__(self, source: SqliteFile, settings: SqliteSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._busy = 0

    async def collect(self) -> Findings:
        """Measure once."""
        found = await self.source.look(self.name, survey, timeout_seconds=self.settings.timeout)
        self._busy += found.write_locked or found.failure is not None
        batch = Batch(self.clock.now())
        _add_file(batch, found)
        batch.add(BUSY, self._busy)
        if found.counts is not None:
            _add_counts(batch, found.counts)
        return Findings(samples=batch.samples, gaps=_gaps(found))


def _add_file(batch: Batch, found: Survey) -> None:
    batch.add(SIZE, found.size_bytes)
    batch.add(WAL, found.wal_bytes)
    batch.add(INFO, 1, "wal" if found.wal else "rollback")
    batch.add(MODIFIED_AGE, max(batch.taken_at - found.modified_at, 0))
    batch.add(WRITE_LOCKED, found.write_locked)


def _add_counts(batch: Batch, counts: Counts) -> None:
    batch.add(PAGES, counts.pages)
    batch.add(PAGE_SIZE, counts.page_size_bytes)
    batch.add(FREELIST, counts.free_pages * counts.page_size_bytes)
    batch.add(FREELIST_RATIO, counts.free_pages / counts.pages if counts.pages else None)
    batch.add(SCHEMA_VERSION, counts.schema_version)
    batch.add(USER_VERSION, counts.user_version)


def _gaps(found: Survey) -> tuple[Gap, ...]:
    if found.failure is None:
        return ()
    failure = found.failure
    return (Gap(what="pages", reason=failure.reason, detail=failure.detail, hint=failure.hint),)
