"""What of a target's WAL may go once retention has spoken of its backups."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from backup.retention import wal_needed_from
from backup.wal.keeping import Removal, removable, remove, sweep
from backup.wal.listing import look
from backup.wal.segments import lsn_number
from toban.backups import BackupRecord


def wal_from(
    records: Iterable[BackupRecord], kept: Collection[str], now: float, window_seconds: float
) -> Mapping[int, int]:
    """The first position that is needed on each timeline."""
    return {timeline: lsn_number(lsn) for timeline, lsn in wal_needed_from(records, kept, now, window_seconds).items()}


async def let_go_of_wal(place: Path, needed: Mapping[int, int], now: float) -> Removal:
    """Remove what no kept backup needs, and what cut-off pushes left; in a thread."""
    return await asyncio.to_thread(_removed, place, needed, now)


def _removed(place: Path, needed: Mapping[int, int], now: float) -> Removal:
    if not place.is_dir():
        return Removal(segments=(), size_bytes=0, reason="there is none")
    sweep(place, now)
    removal = removable(look(place), needed)
    if removal.segments:
        remove(place, removal)
    return removal
