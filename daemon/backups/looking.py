"""A look at the repository, in a thread and bounded: a disk that hangs holds up nothing but the look itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from backup.errors import BackupError
from backup.repository.repository import Repository
from backup.space import Look, Room, room_of
from toban.backups import BackupRecord, DrillRecord, Trouble

LOOK_SECONDS: Final = 30.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was there; records and drills come newest first."""

    records: tuple[BackupRecord, ...]
    drills: tuple[DrillRecord, ...]
    room: Room


class Unhurried(Generic[T]):
    """Work that a disk may hold for ever: waited for so long and no longer, and never begun twice at once."""

    def __init__(self) -> None:
        self._pending: asyncio.Future[T] | None = None

    async def done(self, work: Callable[[], Awaitable[T]], root: Path, *, within_seconds: float = LOOK_SECONDS) -> T:
        """What it brings, or what one brings that did not come back before; BackupError where that takes too long."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(work())
        await asyncio.wait([self._pending], timeout=within_seconds)
        if not self._pending.done():
            why = f"does not answer within {within_seconds:.0f} s"
            raise BackupError(str(root), why, "look at its disk", trouble=Trouble.REPOSITORY)
        pending, self._pending = self._pending, None
        return pending.result()

    def close(self) -> None:
        """Wait for it no longer."""
        if self._pending is not None:
            self._pending.cancel()


class Lookout:
    """Looks, never twice at once: a look that does not come back is waited for before there is another."""

    def __init__(self, look: Look = room_of) -> None:
        self._look = look
        self._looking: Unhurried[Seen] = Unhurried()

    async def look(self, repository: Repository, *, within_seconds: float = LOOK_SECONDS) -> Seen:
        """What there is; BackupError where it cannot be seen, or does not answer."""

        def looked() -> Awaitable[Seen]:
            return asyncio.to_thread(self._seen, repository)

        return await self._looking.done(looked, repository.root, within_seconds=within_seconds)

    def _seen(self, repository: Repository) -> Seen:
        records = repository.records()
        try:
            return Seen(records=records, drills=repository.drills(), room=self._look(repository.root))
        except OSError as error:
            why = error.strerror or str(error)
            raise BackupError(str(repository.root), why, "is it mounted?", trouble=Trouble.REPOSITORY) from error
