"""A keeper on a real repository, with an engine that does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar

import pytest

from backup.children import Children
from backup.engines.contract import Estimate, Looking, Made, Making, Surroundings
from backup.keeper import ASKED, Keeper, Manner
from backup.keeping.happenings import Happening
from backup.keeping.tools import Tools
from backup.plan import planned
from backup.programs import Programs
from backup.repository.repository import Repository
from backup.settings import Backups, Job
from backup.space import Room
from tests.backup.keeper.records import HOST, MAIN, a_job
from tests.builders import ManualClock
from toban.backups import BackupRecord, Check, Method, Progress, Status, TableRows, Trouble

Act = Callable[[Making], Awaitable[None]]
GB = 1024**3


class Scripted:
    """An engine that does what the test says; by itself it writes a small file."""

    name: ClassVar[str] = "scripted"
    method: ClassVar[Method] = Method.DUMP
    kinds: ClassVar[frozenset[str]] = frozenset({"postgresql"})

    def __init__(self) -> None:
        self.acts: list[Act | BaseException] = []
        self.estimates: list[Estimate | BaseException] = []
        self.looks: list[tuple[Check, ...] | BaseException] = []
        self.made: list[Making] = []
        self.rows = 10
        self.content = b"all of it"
        self.lsns: tuple[str, str] | None = None

    async def estimate(self, making: Making) -> Estimate:
        """The next one, or that nobody knows."""
        found = self.estimates.pop(0) if self.estimates else Estimate()
        if isinstance(found, BaseException):
            raise found
        return found

    async def make(self, making: Making) -> Made:
        """The next act, then the file."""
        self.made.append(making)
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, BaseException):
            raise act
        if act is not None:
            await act(making)
        making.tell(Progress(phase="dump", done_bytes=len(self.content)))
        (making.place / "dump").write_bytes(self.content)
        rows = TableRows(database="d", schema="s", table="t", rows=self.rows)
        start, stop = self.lsns or (None, None)
        return Made(
            source_bytes=100,
            server_version="15.1",
            databases=("d",),
            rows=(rows,),
            notes=("a note",),
            start_lsn=start,
            stop_lsn=stop,
            timeline=1 if self.lsns else None,
        )

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """What the test says it finds, or that all is well."""
        found = self.looks.pop(0) if self.looks else (Check(name="content", ok=True),)
        if isinstance(found, BaseException):
            raise found
        return found


@dataclass
class Bench:
    """A keeper, and what stands around it."""

    keeper: Keeper
    engine: Scripted
    clock: ManualClock
    root: Path
    heard: list[Happening] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """Every file and folder that a backup could be taken for."""
        return {path.name for path in self.root.glob("main/*/*")}

    def tell(self, progress: Progress) -> None:
        """Kept."""
        self.progress.append(progress)


NewBench = Callable[..., Awaitable[Bench]]


async def run(bench: Bench, name: str = "nightly", *, tag: str | None = None, manner: Manner = ASKED) -> BackupRecord:
    """One backup, on demand where nothing else is said."""
    return await bench.keeper.run(name, bench.tell, tag=tag, manner=manner)


async def attempts(bench: Bench) -> list[tuple[Status, Trouble | None, str]]:
    """What the repository says of each, oldest first."""
    return [(one.status, one.trouble, one.reason) for one in reversed(await bench.keeper.records())]


@pytest.fixture
async def new_bench(tmp_path: Path) -> AsyncIterator[NewBench]:
    """Makes keepers for these jobs, in one repository."""
    children = Children()

    async def make(*jobs: Job, clock: ManualClock | None = None, **more: Any) -> Bench:  # noqa: ANN401 - of the settings
        clock, root = clock or ManualClock(), tmp_path / "repository"
        around = Surroundings(
            clock=clock, children=children, programs=Programs(), workspace=tmp_path / "work", node="db1"
        )
        settings = Backups(**{"repository": root, "jobs": jobs or (a_job(nice=0),), **more})
        plan = planned(settings, (MAIN, HOST))
        engine, paused = Scripted(), list[float]()
        rooms, heard = list[Room](), list[Happening]()

        async def pause(seconds: float) -> None:
            paused.append(seconds)
            clock.advance(seconds)
            await asyncio.sleep(0)

        def look(_: Path) -> Room:
            return (
                rooms.pop(0) if len(rooms) > 1 else rooms[0] if rooms else Room(free_bytes=9 * GB, total_bytes=10 * GB)
            )

        tools = Tools(engine_for=lambda *_: engine, engine_of=lambda _: engine, look=look, pause=pause)
        repository = Repository(root, around=around)
        keeper = Keeper(plan, repository, around, zone=UTC, tools=tools, hear=heard.append)
        await keeper.open()
        return Bench(keeper=keeper, engine=engine, clock=clock, root=root, heard=heard, paused=paused, rooms=rooms)

    yield make
    await children.close()


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    """One with a job `nightly`."""
    return await new_bench()
