"""A history on a real file, and collections to fill it with, for the tests that need some past."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from history.reading import SeriesHistory, open_reader
from history.recording import History
from history.retention import Retention
from tests.builders import ManualClock, a_collection, a_metric, a_sample
from toban.clock import Clock
from toban.samples import Collection, Type, Unit

LOAD = a_metric("toban_host_load1", kept=True)
SIZE = a_metric("pg_database_size_bytes", labels=("datname",), unit=Unit.BYTES, kept=True)
COMMITS = a_metric("pg_stat_database_xact_commit", type=Type.COUNTER, labels=("datname",), compatible=True, kept=True)
HOUR = 3600.0
FULL_HOUR = 1_794_999_600.0  # a full hour in November 2026, and the beginning of no day


@asynccontextmanager
async def recording(path: Path, clock: Clock, *, retention: Retention | None = None) -> AsyncIterator[History]:
    """An open history; closed, and so flushed, at the end."""
    history = await History.open(path, clock, retention=retention)
    try:
        yield history
    finally:
        await history.close()


def load(clock: ManualClock, value: float) -> Collection:
    """A gauge, now."""
    return a_collection(a_sample(LOAD, value, taken_at=clock.now()), collector="load", taken_at=clock.now())


def commits(clock: ManualClock, value: float, database: str = "shop") -> Collection:
    """A counter, now."""
    sample = a_sample(COMMITS, value, labels=(database,), taken_at=clock.now())
    return a_collection(sample, collector="database", taken_at=clock.now())


async def record(history: History, clock: ManualClock, values: Iterable[float], *, every: float = 15.0) -> None:
    """A counter and a gauge at each of these values, one after another."""
    for value in values:
        history.offer(commits(clock, value))
        history.offer(load(clock, value))
        clock.advance(every)
    assert await history.flush()


def read(path: Path, metric: str, clock: ManualClock, *, back: float = HOUR, width: int = 1000) -> SeriesHistory:
    """The one series of a metric, from so far back until now."""
    with open_reader(path) as reader:
        (series,) = reader.series(metric, since=clock.now() - back, until=clock.now(), width=width)
    return series


def means(series: SeriesHistory) -> list[float]:
    """What its points say."""
    return [point.mean for point in series.points]
