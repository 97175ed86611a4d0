"""The write-ahead log: its growth, its archiver, checkpoints and the background writer, and the files that wait."""

from typing import Any

import asyncpg

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

FILES_SECONDS = 60.0  # between two listings of pg_wal; a large folder takes its time

POSITION = Metric(
    name="toban_pg_wal_bytes_total",
    help="WAL position: written on a primary, replayed on a standby",
    type=Type.COUNTER,
    unit=Unit.BYTES,
    kept=True,
)
RATE = Metric(
    name="toban_pg_wal_bytes_per_second",
    help="WAL written, on a standby replayed, since the turn before; absent over a change of sides",
)
TIMELINE = Metric(name="toban_pg_wal_timeline", help="Timeline of the last checkpoint; each promotion begins a new one")
CHECKPOINT_AGE = Metric(
    name="toban_pg_checkpoint_age_seconds", help="Since the last checkpoint began", unit=Unit.SECONDS, kept=True
)
ARCHIVED = Metric(
    name="pg_stat_archiver_archived_count", help="WAL files archived", type=Type.COUNTER, compatible=True, kept=True
)
ARCHIVE_FAILED = Metric(
    name="pg_stat_archiver_failed_count",
    help="Failed attempts to archive a WAL file",
    type=Type.COUNTER,
    compatible=True,
    kept=True,
)
ARCHIVE_AGE = Metric(
    name="pg_stat_archiver_last_archive_age",
    help="Seconds since a WAL file was archived; absent when none ever was, or none is to be",
    unit=Unit.SECONDS,
    compatible=True,
)
FAILURE_AGE = Metric(
    name="toban_pg_archive_failure_age_seconds",
    help="Since the last failed attempt to archive; absent when none ever failed",
    unit=Unit.SECONDS,
)
ARCHIVE_FAILING = Metric(
    name="toban_pg_archive_failing",
    help="Whether the last attempt to archive a WAL file failed",
    kept=True,
)
SEGMENTS = Metric(name="pg_wal_segments", help="WAL files on disk", compatible=True)
SIZE = Metric(
    name="pg_wal_size_bytes", help="Size of the WAL files on disk", unit=Unit.BYTES, compatible=True, kept=True
)
READY = Metric(name="toban_pg_wal_ready_files", help="WAL files that wait to be archived", kept=True)
RECORDS = Metric(name="toban_pg_wal_records_total", help="WAL records generated", type=Type.COUNTER)
FULL_PAGES = Metric(
    name="toban_pg_wal_full_page_images_total", help="Full page images written to WAL", type=Type.COUNTER
)
BUFFERS_FULL = Metric(
    name="toban_pg_wal_buffers_full_total",
    help="Times WAL was written because its buffers were full",
    type=Type.COUNTER,
)
WRITES = Metric(name="toban_pg_wal_writes_total", help="Times WAL was written to disk", type=Type.COUNTER)
SYNCS = Metric(name="toban_pg_wal_syncs_total", help="Times WAL was synced to disk", type=Type.COUNTER)
WRITE_SECONDS = Metric(
    name="toban_pg_wal_write_seconds_total",
    help="Time spent writing WAL; 0 while track_wal_io_timing is off",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
)
SYNC_SECONDS = Metric(
    name="toban_pg_wal_sync_seconds_total",
    help="Time spent syncing WAL; 0 while track_wal_io_timing is off",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
)

_BGWRITER = {
    "buffers_alloc": "Buffers allocated",
    "buffers_clean": "Buffers written by the background writer",
    "maxwritten_clean": "Times the background writer stopped because it had written too many buffers",
}
_CHECKPOINTS = {  # moved to pg_stat_checkpointer, or given up, in 17
    "checkpoints_timed": "Scheduled checkpoints",
    "checkpoints_req": "Requested checkpoints",
    "checkpoint_write_time": "Milliseconds spent writing files in checkpoints",
    "checkpoint_sync_time": "Milliseconds spent syncing files in checkpoints",
    "buffers_checkpoint": "Buffers written during checkpoints",
    "buffers_backend": "Buffers written by backends themselves",
    "buffers_backend_fsync": "Syncs that backends had to do themselves",
}
_CHECKPOINTER = {
    "num_timed": "Scheduled checkpoints",
    "num_requested": "Requested checkpoints",
    "restartpoints_timed": "Scheduled restartpoints",
    "restartpoints_req": "Requested restartpoints",
    "restartpoints_done": "Restartpoints that were performed",
    "write_time": "Milliseconds spent writing files in checkpoints and restartpoints",
    "sync_time": "Milliseconds spent syncing files in checkpoints and restartpoints",
    "buffers_written": "Buffers written during checkpoints and restartpoints",
}
_KEPT = {"checkpoints_timed", "checkpoints_req", "buffers_checkpoint", "num_timed", "num_requested", "buffers_written"}


def _counters(view: str, columns: dict[str, str], suffix: str) -> dict[str, Metric]:
    """A view's counters by the names of postgres_exporter, keyed by our column. The plain names are those of 0.11."""
    return {
        f"{view}_{column}": Metric(
            name=f"pg_stat_{view}_{column}{suffix}",
            help=help_text,
            type=Type.COUNTER,
            compatible=True,
            kept=bool(suffix) and column in _KEPT,
        )
        for column, help_text in columns.items()
    }


_TOTALS = _counters("bgwriter", _BGWRITER | _CHECKPOINTS, "_total") | _counters("checkpointer", _CHECKPOINTER, "_total")
_PLAIN = _counters("bgwriter", _BGWRITER | _CHECKPOINTS, "")
_COLUMNS: dict[str, Metric] = {
    "position_bytes": POSITION,
    "timeline": TIMELINE,
    "checkpoint_age_seconds": CHECKPOINT_AGE,
    "archived_count": ARCHIVED,
    "failed_count": ARCHIVE_FAILED,
    "last_archive_age": ARCHIVE_AGE,
    "last_failure_age": FAILURE_AGE,
    "failing": ARCHIVE_FAILING,
    "records": RECORDS,
    "full_page_images": FULL_PAGES,
    "buffers_full": BUFFERS_FULL,
    "writes": WRITES,
    "syncs": SYNCS,
    "write_seconds": WRITE_SECONDS,
    "sync_seconds": SYNC_SECONDS,
}
_FILE_COLUMNS = {"segments": SEGMENTS, "size_bytes": SIZE, "ready": READY}

_WAL = Query("wal")
_FILES = Query("wal_files")


class WalSettings(CollectorSettings):
    """How often."""


class Wal(Collector[PostgresServer, WalSettings]):
    """One row each turn; the folder listings once a minute at most."""

    name = "wal"
    purpose = "How much is written, whether the archive follows, and whether checkpoints come too often."
    kind = Kind.POSTGRESQL
    metrics = (RATE, *_COLUMNS.values(), *_FILE_COLUMNS.values(), *_TOTALS.values(), *_PLAIN.values())
    settings_model = WalSettings

    def __init__(self, source: PostgresServer, settings: WalSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._files: Batch | None = None
        self._unlisted: tuple[Gap, ...] = ()
        self._listed_at: float | None = None
        self._before: tuple[float, bool, float] | None = None  # the last position, on which side, and when

    async def collect(self) -> Findings:
        """Everything that costs nothing; between two listings the last one stands, with its own time."""
        batch = Batch(self.clock.now())
        (row,) = await self.source.fetch(_WAL)
        for columns in (_COLUMNS, _TOTALS, _PLAIN):
            _add(batch, columns, row)
        batch.add(RATE, self._rate(row["position_bytes"], standby=row["standby"]))
        if not row["may_list"]:
            self._listed_at = None
            return Findings(samples=batch.samples, gaps=(_may_not_list(),))
        await self._list()
        files = self._files.samples if self._files else ()
        return Findings(samples=batch.samples + files, gaps=self._unlisted)

    def _rate(self, position: float | None, *, standby: bool) -> float | None:
        """Bytes a second since the turn before; unknown where that was another server's, or the other side's."""
        before, at = self._before, self.clock.monotonic()
        self._before = None if position is None else (position, standby, at)
        if before is None or position is None or before[1] != standby or position < before[0] or at <= before[2]:
            return None
        return (position - before[0]) / (at - before[2])

    async def _list(self) -> None:
        """Look into the folders when it is time. One that is too large to be listed hides nothing else."""
        at = self.clock.monotonic()
        if self._listed_at is not None and at - self._listed_at < FILES_SECONDS:
            return
        self._files, self._unlisted = None, ()
        try:
            (row,) = await self.source.fetch(_FILES)
        except asyncpg.PostgresError as error:
            failure = self.source.explain(error)
            if failure.down:
                raise
            self._unlisted = (Gap(what="WAL files", reason=failure.reason, detail=failure.detail, hint=failure.hint),)
        else:
            self._files = Batch(self.clock.now())
            _add(self._files, _FILE_COLUMNS, row)
        self._listed_at = at


def _add(batch: Batch, columns: dict[str, Metric], row: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    """The columns that this server version has."""
    for column, metric in columns.items():
        batch.add(metric, row.get(column))


def _may_not_list() -> Gap:
    detail = "listing pg_wal and its archive_status needs pg_monitor"
    return Gap(what="WAL files", reason=Reason.PRIVILEGE, detail=detail, hint=SETUP_HINT)
