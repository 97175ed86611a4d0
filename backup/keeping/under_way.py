"""What is under way: the runs, the proofs, and how many are at work at once. It outlives a reload."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from typing import Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.settings import Job
from toban.backups import Progress, Trouble
from toban.clock import Clock

BUSY_AGAIN_SECONDS: Final = 5.0
QUEUE_SECONDS: Final = 24 * 3600.0  # for a place, while as many are at work as may be
Place = AbstractContextManager[None]


class FullError(BackupError):
    """As many are at work as may be."""


@dataclass(slots=True, kw_only=True)
class Running:
    """One run under way."""

    job: Job
    began_at: float
    progress: Progress | None = None


class UnderWay:
    """What keepers that follow each other have in common: a changed configuration ends nothing that is at work."""

    def __init__(self) -> None:
        self.runs: dict[str, Running] = {}
        self.proving = asyncio.Lock()
        """Proofs, drills and readings: one at a time."""
        self._at_work = 0

    @contextmanager
    def noted(self, job: Job, now: float, tell: Tell) -> Iterator[Tell]:
        """A run, for whoever looks; one of a job at a time."""
        if job.name in self.runs:
            raise BackupError(f"backup {job.name}", "is being made already", trouble=Trouble.BUSY)
        running = self.runs[job.name] = Running(job=job, began_at=now)

        def heard(progress: Progress) -> None:
            running.progress = progress
            tell(progress)

        try:
            yield heard
        finally:
            del self.runs[job.name]

    @contextmanager
    def at_work(self, at_once: int | None) -> Iterator[None]:
        """A place among those at work, of so many at once; whoever does not ask for how many has one always."""
        if at_once is not None and self._at_work >= at_once:
            why = f"{self._at_work} others are being made, and no more are to be at once"
            raise FullError("backup", why, "see backups.at_once", trouble=Trouble.BUSY)
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1


@asynccontextmanager
async def in_turn(
    take: Callable[[], AbstractAsyncContextManager[None]],
    place: Callable[[], Place],
    *,
    patience_seconds: float,
    clock: Clock,
    pause: Callable[[float], Awaitable[None]],
) -> AsyncIterator[None]:
    """A target's turn, and a place among those at work: both or none, waited for with patience."""
    until, latest = clock.monotonic() + patience_seconds, clock.monotonic() + QUEUE_SECONDS
    async with AsyncExitStack() as stack:
        while True:
            try:
                async with AsyncExitStack() as trying:
                    trying.enter_context(place())
                    await trying.enter_async_context(take())
                    await stack.enter_async_context(trying.pop_all())
                break
            except FullError:  # nobody is at work on this target: that tries no patience
                if clock.monotonic() >= latest:
                    raise
                until = clock.monotonic() + patience_seconds
            except BackupError as error:
                if error.trouble is not Trouble.BUSY or clock.monotonic() >= until:
                    raise
            await pause(BUSY_AGAIN_SECONDS)
        yield
