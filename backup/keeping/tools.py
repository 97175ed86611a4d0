"""What a keeper works with: engines and ways back by what they are for, and the world that a test may replace."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.engines import engine_for, engine_of
from backup.engines.contract import Engine, Origin
from backup.errors import BackupError
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.restore import restorer_of
from backup.restore.contract import Restorer
from backup.settings import Copy as CopySettings
from backup.settings import Job
from backup.space import Look, room_of
from toban.backups import BackupRecord, Manifest, Trouble

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
class Sparing:
    """The repository, for retention: what is being read at this moment stays."""

    repository: "Repository"
    in_use: Counter[str]

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away."""
        if self.in_use[record.id] > 0:
            raise BackupError(record.id, "is being read", trouble=Trouble.BUSY)
        await self.repository.remove(record, why)
