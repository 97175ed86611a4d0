"""The jobs that every target gets where none are written: the operations handbook's."""

from collections.abc import Iterable, Iterator
from typing import Any

from backup.engines.contract import Origin
from backup.keeping.fitting import KINDS, POSTGRESQL
from backup.settings import DAY_SECONDS, Job, Keep
from toban.backups import Method


def usual(origins: Iterable[Origin]) -> tuple[Job, ...]:
    """What every target gets where no jobs are written: the operations handbook's."""
    kept = [origin for origin in origins if origin.kind in KINDS[Method.DUMP]]
    return tuple(job for origin in kept for job in _usual_of(origin, alone=len(kept) == 1))


def _usual_of(origin: Origin, *, alone: bool) -> Iterator[Job]:
    """The names say of which target it is where there are several."""
    suffix = "" if alone else f"-{origin.name}"

    def job(name: str, method: Method, days: int, **more: Any) -> Job:  # noqa: ANN401 - any of a job's keys
        return Job(name=name + suffix, target=origin.name, method=method, keep=Keep(for_=days * DAY_SECONDS), **more)

    if origin.kind != POSTGRESQL:
        yield job("daily", Method.DUMP, 7, schedule="0 2 * * *", compress="zstd")
        return
    yield job("daily", Method.DUMP, 7, schedule="0 2 * * *", format="custom", compress="zstd")
    yield job("weekly", Method.DUMP, 28, schedule="0 3 * * 0", format="plain", compress="zstd")
    yield job("base", Method.BASE, 14, schedule="0 4 * * 0")
    yield job("wal", Method.WAL, 7, mode="stream")
