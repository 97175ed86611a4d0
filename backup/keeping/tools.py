"""What a keeper works with: engines and ways back by what they are for, and the world that a test may replace."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backup.engines import engine_for, engine_of
from backup.engines.contract import Engine, Origin
from backup.engines.pgbackrest import PgBackRest, let_go
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.restore import restorer_of
from backup.restore.contract import Restorer
from backup.settings import Copy as CopySettings
from backup.settings import Job
from backup.space import Look, room_of
from toban.backups import BackupRecord, Manifest

if TYPE_CHECKING:
    from backup.repository.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The engines and the ways back, by what they are for; and what a test puts in the world's place."""

    engine_for: Callable[[Job, Origin], Engine] = engine_for
    engine_of: Callable[[Manifest], Engine] = engine_of
    restorer_of: Callable[[Manifest], Restorer] = restorer_of
    open_copy: Callable[[CopySettings, "Repository"], Copy] = copy_of
    look: Look = room_of
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Letting:
    """The repository, for retention: what lies elsewhere goes with what lies in it."""

    repository: "Repository"

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away; it stays while somebody reads it."""
        elsewhere = record.manifest.engine == PgBackRest.name  # its files lie in a repository that is not ours
        first = partial(let_go, record, self.repository.around) if elsewhere else None
        await self.repository.remove(record, why, first=first)
