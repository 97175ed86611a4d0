"""Room in the repository: what a backup will need, whether it is there, and when there will be none left."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Final

from backup.engines.contract import Estimate
from backup.errors import BackupError
from history.trends import Place, seconds_to, trend
from toban.backups import BackupRecord, Status, Trouble
from toban.units import size_text

GROWTH: Final = 1.3  # on the last one's size: data grows, and compresses worse
WATCH_SECONDS: Final = 2.0
COURSE_STEP_SECONDS: Final = 900.0
MOST_PLACES: Final = 700  # a week of quarters of an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a file system has."""

    free_bytes: int
    total_bytes: int

    @property
    def free_ratio(self) -> float:
        """How much of it is free."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 0.0


Look = Callable[[Path], Room]


def room_of(place: Path) -> Room:
    """What is free for us where this folder lies; blocks while the disk does."""
    found = os.statvfs(place)
    return Room(free_bytes=found.f_bavail * found.f_frsize, total_bytes=found.f_blocks * found.f_frsize)


async def room_there(place: Path, look: Look = room_of) -> Room:
    """The same, asked in a thread; BackupError where the folder cannot be asked."""
    try:
        return await asyncio.to_thread(look, place)
    except OSError as error:
        why = error.strerror or str(error)
        raise BackupError(str(place), why, "is it mounted?", trouble=Trouble.REPOSITORY) from error


def needed_bytes(estimate: Estimate, earlier: Sequence[BackupRecord]) -> int | None:
    """What the next backup will take: by the last good one of its job, and by what the engine makes of the source.

    What an engine knows of the source alone is the most it can be: it counts only where nothing better is known.
    """
    last = next((record.manifest.size_bytes for record in earlier if record.status is Status.OK), None)
    grown = None if last is None else int(last * GROWTH)
    known = [size for size in (grown, estimate.size_bytes) if size is not None]
    return max(known) if known else estimate.source_bytes


def lack_of_room(room: Room, needed: int | None, floor: int) -> str:
    """Why it must not be begun; empty where there is room enough, as far as anybody knows."""
    left = room.free_bytes - (needed or 0)
    if left >= floor:
        return ""
    free = size_text(room.free_bytes)
    if room.free_bytes < floor:
        return f"no space left: {free} free, of which {size_text(floor)} are to stay free"
    wants = size_text(needed or 0)
    return f"no space left: it needs about {wants}, and of {free} free {size_text(floor)} are to stay free"


async def watch(place: Path, floor: int, look: Look = room_of) -> None:
    """Until the floor is reached; then it raises, and whoever works beside it ends."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        room = await asyncio.to_thread(look, place)
        if room.free_bytes < floor:
            raise no_space(lack_of_room(room, None, floor))


def no_space(why: str) -> BackupError:
    """There is no room."""
    hint = "make room in the repository, keep fewer backups (`toban backup prune --dry-run`), or lower backups.floor"
    return BackupError("backup", why, hint, trouble=Trouble.SPACE)


class Course:
    """How the use of the repository went lately, and when it will be full if it goes on so."""

    def __init__(self) -> None:
        self._places: deque[Place] = deque(maxlen=MOST_PLACES)

    def note(self, at: float, room: Room) -> None:
        """One look. What is much denser than a quarter of an hour, or before what we have, tells nothing."""
        if not self._places or at - self._places[-1][0] >= COURSE_STEP_SECONDS:
            self._places.append((at, float(room.total_bytes - room.free_bytes)))
        elif at < self._places[-1][0]:  # the clock was set back: what we have is of another time
            self._places.clear()

    def full_in_seconds(self, room: Room) -> float | None:
        """From now on; None where it does not grow, or nobody can tell yet."""
        places = list(self._places)
        if not places:
            return None
        used = float(room.total_bytes - room.free_bytes)
        seconds = seconds_to(float(room.total_bytes), used, [trend(places)])
        return None if seconds is None or isinf(seconds) else seconds
