"""What one proof works on: the backup, the way back, the settings, the world."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backup.engines.contract import Surroundings, Tell
from backup.proof.course import Course
from backup.proof.room import FLOOR_BYTES
from backup.restore.contract import Restorer, Wanted
from backup.settings import Proof
from backup.space import Look, room_of
from toban.backups import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Proving:
    """One proof to be made. `wanted` names no place: it is restored into a scratch one."""

    wanted: Wanted
    restorer: Restorer
    settings: Proof
    around: Surroundings
    tell: Tell
    reread: Callable[[], Awaitable[tuple[Check, ...]]] | None = None  # all its files' digests: asked after a failure
    floor_bytes: int = FLOOR_BYTES  # so much stays free where it is done
    look: Look = room_of


class Method(Protocol):
    """How one kind of backup is restored and looked at; what it finds it adds to the course."""

    async def __call__(self, proving: Proving, place: Path, course: Course) -> None:
        """Do it. What it raises ends the proof; what was found until then counts."""
        ...
