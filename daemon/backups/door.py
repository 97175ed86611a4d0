"""The way from the daemon to its backups: what makes them is loaded when a configuration first names a repository.

A daemon without backups is a watch, and need not carry engines, schedule and proof in its memory: 4.5 MB.
"""

from collections.abc import Callable
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError
from daemon.configuration.tree import Configuration
from toban.backups import BackupRecord
from toban.clock import Clock
from toban.samples import Collection
from toban.status import Component

if TYPE_CHECKING:
    from daemon.backups.backing import Backing

NONE: Final = "none are configured"
HINT: Final = "name a repository under backups"


class Door:
    """The daemon's backups, if it keeps any: `start`, `renew` at a reload, `stop`."""

    def __init__(self, *, clock: Clock, accept: Callable[[Collection, float], None]) -> None:
        self._clock = clock
        self._accept = accept
        self._backing: Backing | None = None

    @property
    def open(self) -> "Backing | None":
        """Who keeps them; None where none are configured."""
        return self._backing if self._backing is not None and self._backing.active else None

    async def start(self, configuration: Configuration) -> None:
        """Begin, where there is something to keep."""
        if configuration.backups.repository is None:
            return
        from daemon.backups.backing import Backing  # noqa: PLC0415 - what this module is for

        self._backing = Backing(configuration, clock=self._clock, accept=self._accept, random=SystemRandom())
        await self._backing.start()

    async def renew(self, configuration: Configuration) -> None:
        """A changed configuration."""
        if self._backing is None:
            await self.start(configuration)
        else:
            await self._backing.renew(configuration)

    async def stop(self) -> None:
        """End what is under way, bounded."""
        if self._backing is not None:
            await self._backing.stop()

    def component(self) -> Component | None:
        """How backups stand, for the overall health."""
        return None if self._backing is None else self._backing.component()

    async def obstacle(self, job: str) -> str:
        """Why a backup must not be begun now; empty where it may."""
        return f"backups: {NONE} ({HINT})" if self._backing is None else await self._backing.obstacle(job)

    async def run(self, job: str, why: str) -> BackupRecord:
        """Make one now."""
        if self._backing is None:
            raise BackupError("backups", NONE, HINT)
        return await self._backing.run(job, why)
