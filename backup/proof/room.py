"""Time and room for a proof: enough of both before it begins, and an end to it when one of them is used up.

The scratch place often shares its disk with the server itself, which must never lack room for our sake.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.space import Look, Room, room_of
from toban.backups import Check, Manifest, Trouble
from toban.units import size_text

FLOOR_BYTES: Final = 256 * 1024 * 1024
WATCH_SECONDS: Final = 1.0
MARGIN: Final = 1.1  # indexes are built beside what they sort
HINT: Final = "make room, or set backups.proof.workspace to a place that has it"


def needed_by(told: Manifest, by_preflight: int | None) -> int | None:
    """What it will take once restored, as far as anybody knows."""
    if by_preflight is not None:
        return by_preflight
    return None if told.source_bytes is None else int(told.source_bytes * MARGIN)


def enough(room: Room, needed: int | None, floor: int = FLOOR_BYTES) -> Check:
    """Whether there is room to begin."""
    free = size_text(room.free_bytes)
    if needed is None:
        ok = room.free_bytes >= floor
        return Check(name="space", ok=ok, detail=f"{free} free; nobody knows what it takes")
    ok = room.free_bytes >= needed + floor
    detail = f"it takes about {size_text(needed)}, and {size_text(floor)} stay free; {free} are free"
    return Check(name="space", ok=ok, detail=detail)


@asynccontextmanager
async def bounded(
    place: Path, *, within_seconds: float, floor: int = FLOOR_BYTES, look: Look = room_of
) -> AsyncIterator[None]:
    """End the block when its time is over, or the disk of `place` has no more than the floor."""
    short: list[Room] = []
    scope = asyncio.timeout(within_seconds)
    watcher: asyncio.Task[None] | None = None
    try:
        async with scope:
            watcher = asyncio.create_task(_watch(place, floor, look, scope, short))
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        if short:
            why = f"no space left: {size_text(short[0].free_bytes)} free, and {size_text(floor)} are to stay free"
            raise BackupError("scratch place", why, HINT, trouble=Trouble.SPACE) from None
        why = f"not done within {within_seconds:.0f} s"
        raise BackupError("proof", why, "see backups.proof.timeout", trouble=Trouble.TIMEOUT) from None
    finally:
        if watcher is not None:
            watcher.cancel()


async def _watch(place: Path, floor: int, look: Look, scope: asyncio.Timeout, short: list[Room]) -> None:
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        room = await asyncio.to_thread(look, place)
        if room.free_bytes < floor and not scope.expired():
            short.append(room)
            scope.reschedule(asyncio.get_running_loop().time())
            return
