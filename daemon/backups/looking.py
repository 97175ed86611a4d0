"""A look at the repository, in a thread and bounded: a disk that hangs holds up nothing but the look itself."""

import asyncio
from dataclasses import dataclass
from typing import Final

from backup.errors import BackupError
from backup.repository.repository import Repository
from backup.space import Look, Room, room_of
from toban.backups import BackupRecord, DrillRecord, Trouble

LOOK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was there; records and drills come newest first."""

    records: tuple[BackupRecord, ...]
    drills: tuple[DrillRecord, ...]
    room: Room


class Lookout:
    """Looks, never twice at once: a look that does not come back is waited for before there is another."""

    def __init__(self, look: Look = room_of) -> None:
        self._look = look
        self._pending: asyncio.Future[Seen] | None = None

    async def look(self, repository: Repository, *, within_seconds: float = LOOK_SECONDS) -> Seen:
        """What there is; BackupError where it cannot be seen, or does not answer."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(asyncio.to_thread(self._seen, repository))
        await asyncio.wait([self._pending], timeout=within_seconds)
        if not self._pending.done():
            why = f"does not answer within {within_seconds:.0f} s"
            raise BackupError(str(repository.root), why, "look at its disk", trouble=Trouble.REPOSITORY)
        pending, self._pending = self._pending, None
        return pending.result()

    def _seen(self, repository: Repository) -> Seen:
        records = repository.records()
        try:
            return Seen(records=records, drills=repository.drills(), room=self._look(repository.root))
        except OSError as error:
            why = error.strerror or str(error)
            raise BackupError(str(repository.root), why, "is it mounted?", trouble=Trouble.REPOSITORY) from error
