"""Somebody who keeps backups in a daemon that runs in a thread of the test."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemon.duties import on_duty
from toban.backups import BackupRecord, Progress
from toban.errors import NotFoundError


@dataclass
class FakeKeeping:
    """Tells its progress, and ends as the test wants."""

    found: list[BackupRecord] = field(default_factory=list)
    ends: BackupRecord | BaseException | None = None  # None: never
    progress: tuple[Progress, ...] = ()
    asked: list[tuple[str, str | None, str]] = field(default_factory=list)
    tasks: list["asyncio.Task[BackupRecord]"] = field(default_factory=list)

    def records(self) -> list[BackupRecord]:
        """As the test has them."""
        return self.found

    def begin(
        self, job: str, *, tag: str | None, why: str, tell: Callable[[Progress], None]
    ) -> "asyncio.Task[BackupRecord]":
        """Of a job that is called nightly."""
        if job != "nightly":
            raise NotFoundError("backup", f"none is called {job}", "there are: nightly")
        self.asked.append((job, tag, why))
        self.tasks.append(asyncio.get_running_loop().create_task(self._work(tell)))
        return self.tasks[-1]

    async def _work(self, tell: Callable[[Progress], None]) -> BackupRecord:
        for one in self.progress:
            tell(one)
            await asyncio.sleep(0)
        if isinstance(self.ends, BaseException):
            raise self.ends
        if self.ends is None:
            await asyncio.Event().wait()
        assert isinstance(self.ends, BackupRecord)
        return self.ends


@contextmanager
def kept_by(state: Path, keeping: FakeKeeping) -> Iterator[FakeKeeping]:
    """A daemon's local socket beside this state, with them behind it."""
    with on_duty(state, None) as world:
        world.backups = keeping
        yield keeping
