"""Who reads and writes, on what, and why: pg_stat_io, from 16 on; and the small caches of pg_xact and its kin."""

from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query, UnsupportedVersionError
from toban.config import Duration
from toban.outcomes import Gap
from toban.samples import Batch, Findings, Metric, Type, Unit

_LABELS = ("backend_type", "object", "context")
_OPERATIONS = {
    "reads": "Read operations",
    "writes": "Write operations",
    "writebacks": "Requests to the kernel to write to disk now",
    "extends": "Operations that made a file longer",
    "hits": "Times a block was found in shared buffers",
    "evictions": "Times a block was written out or dropped to make room for another one",
    "reuses": "Times a ring of buffers took one of its own again",
    "fsyncs": "Syncs of files",
}
_BYTES = {
    "read_bytes": "Bytes read",
    "write_bytes": "Bytes written",
    "extend_bytes": "Bytes by which files were made longer",
}
_SECONDS = {
    "read_seconds": "Time spent reading; absent while track_io_timing is off",
    "write_seconds": "Time spent writing; absent while track_io_timing is off",
    "writeback_seconds": "Time spent asking the kernel to write; absent while track_io_timing is off",
    "extend_seconds": "Time spent making files longer; absent while track_io_timing is off",
    "fsync_seconds": "Time spent syncing; absent while track_io_timing is off",
}
_SLRU = {
    "hits": "Times a page was found in the small cache",
    "reads": "Pages read from disk because the small cache did not have them",
    "writes": "Pages of the small cache written to disk",
}


def _counters(kin: str, columns: dict[str, str], unit: Unit, labels: tuple[str, ...]) -> dict[str, Metric]:
    return {
        column: Metric(name=f"toban_pg_{kin}_{column}_total", help=text, type=Type.COUNTER, unit=unit, labels=labels)
        for column, text in columns.items()
    }


AMOUNTS = _counters("io", _OPERATIONS, Unit.NONE, _LABELS) | _counters("io", _BYTES, Unit.BYTES, _LABELS)
TIMES = _counters("io", _SECONDS, Unit.SECONDS, _LABELS)
SLRU = _counters("slru", _SLRU, Unit.NONE, ("slru",))

_IO = Query("io")
_CACHES = Query("slru")


class IoSettings(CollectorSettings):
    """How often."""

    every: Duration = 60.0


class Io(Collector[PostgresServer, IoSettings]):
    """What the server reads and writes."""

    name = "io"
    purpose = (
        "Whether shared buffers are too small (evictions, reads by client backends), who writes, and what a sync costs."
    )
    kind = Kind.POSTGRESQL
    metrics = (*AMOUNTS.values(), *TIMES.values(), *SLRU.values())
    settings_model = IoSettings

    async def collect(self) -> Findings:
        """Two reads of shared memory; before 16 one, and the reason for the other."""
        batch = Batch(self.clock.now())
        gaps: tuple[Gap, ...] = ()
        for row in await self.source.fetch(_CACHES):
            for column, metric in SLRU.items():
                batch.add(metric, row[column], row["name"])
        try:
            rows = await self.source.fetch(_IO)
        except UnsupportedVersionError as error:
            rows, gaps = [], (_too_old(error),)
        for row in rows:
            _add(batch, row)
        return Findings(samples=batch.samples, gaps=gaps)


def _add(batch: Batch, row: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    labels = (row["backend_type"], row["object"], row["context"])
    for column, metric in AMOUNTS.items():
        batch.add(metric, row[column], *labels)  # null where such an operation cannot be
    for column, metric in TIMES.items():
        batch.add(metric, row[column] or None, *labels)


def _too_old(error: UnsupportedVersionError) -> Gap:
    failure = error.failure
    detail = failure.detail.replace("io needs", "pg_stat_io needs")
    return Gap(what="pg_stat_io", reason=failure.reason, detail=detail, hint="it comes with an upgrade of the server")
