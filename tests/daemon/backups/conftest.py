"""A daemon's backups on a repository of their own, with an engine that does what a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from backup.keeping.tools import Tools
from backup.settings import Backups
from daemon.backups.backing import Backing
from daemon.configuration.targets import PostgresqlTarget, Target
from daemon.configuration.tree import Configuration
from tests.backup.keeper.conftest import Scripted
from tests.backup.keeper.records import MAIN, a_job
from toban.clock import SystemClock
from toban.events import Event

if TYPE_CHECKING:
    from toban.samples import Collection

RANDOM = Random(7)  # noqa: S311 - jitter is no secret


class Stage:
    """A daemon's backups, and what came out of them."""

    def __init__(self, home: Path, *jobs: object, targets: tuple[Target, ...] | None = None) -> None:
        self.home = home
        self.engine = Scripted()
        self.collections: list[Collection] = []
        self.configuration = self.configured(*jobs, targets=targets)
        self.backing = Backing(
            self.configuration,
            clock=SystemClock(),
            accept=lambda collection, _: self.collections.append(collection),
            random=RANDOM,
            tools=Tools(engine_for=lambda *_: self.engine, engine_of=lambda _: self.engine),
        )

    def configured(self, *jobs: object, targets: tuple[Target, ...] | None = None, **more: object) -> Configuration:
        """With these jobs, in the repository."""
        backups = Backups(
            **{"repository": self.home / "repository", "jobs": jobs or (a_job(nice=0),), "floor": 1, **more}
        )
        main = PostgresqlTarget(name="main", dsn=MAIN.dsn)
        state = f"sqlite://{self.home}/state.db"
        return Configuration(node="db1", state=state, backups=backups, targets=targets or (main,))

    def values(self, target: str = "main") -> dict[str, float]:
        """The newest of a target."""
        found = [one for one in self.collections if one.target == target]
        return (
            {sample.metric.name.removeprefix("toban_backup_"): sample.value for sample in found[-1].samples}
            if found
            else {}
        )

    @property
    def events(self) -> list[Event]:
        """All that happened."""
        return [row for one in self.collections for row in one.rows if isinstance(row, Event)]


NewStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def new_stage(tmp_path: Path) -> AsyncIterator[NewStage]:
    """Makes one that is started, and stopped in the end."""
    stages: list[Stage] = []

    async def make(*jobs: object) -> Stage:
        stage = Stage(tmp_path, *jobs)
        stages.append(stage)
        await stage.backing.start()
        return stage

    yield make
    for stage in stages:
        await stage.backing.stop()
