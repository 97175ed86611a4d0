"""How long WAL stays: what no kept backup needs goes, and what cut-off pushes left behind. Deciding is pure."""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.wal.chain import Listing
from backup.wal.listing import look
from backup.wal.place import discard, disk_failure, sync_folder
from backup.wal.segments import DIGEST, UNFINISHED, lsn_text, parse, segment_number

STALE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What goes, and why."""

    segments: tuple[str, ...]
    size_bytes: int
    reason: str


def removable(listing: Listing, needed_from: Mapping[int, int]) -> Removal:
    """Which segments nobody needs. `needed_from`: for each timeline of a kept backup, the first position needed.

    A timeline may lead on from any older one, whether or not a kept backup is of it as well: of each, what lies before
    all that is needed of it and of those goes. Where nothing is said to be needed nothing goes.
    """
    if not needed_from:
        return Removal(segments=(), size_bytes=0, reason="no backup is there that WAL could be needless for")
    there = {**listing.partials, **listing.segments}  # the unfinished end of a timeline that was left goes as well
    going = tuple(name for name in sorted(there) if _is_needless(listing, name, needed_from))
    size = sum(there[name].size_bytes for name in going)
    said = ", ".join(f"{lsn_text(lsn)} on timeline {timeline}" for timeline, lsn in sorted(needed_from.items()))
    return Removal(segments=going, size_bytes=size, reason=f"no kept backup needs WAL from before {said}")


def _is_needless(listing: Listing, segment: str, needed: Mapping[int, int]) -> bool:
    timeline = int(segment[:8], 16)
    first = min((lsn for older, lsn in needed.items() if older <= timeline), default=None)
    ends_at = (segment_number(segment, listing.segment_bytes) + 1) * listing.segment_bytes
    return first is None or ends_at <= first


def remove(place: Path, removal: Removal) -> None:
    """Away with it, oldest first, so that what stays is unbroken whenever it is cut off. It blocks."""
    folder = str(place)
    going = set(removal.segments)
    try:
        names = sorted(entry.name for entry in os.scandir(place))
        for name in names:
            named = parse(name.removesuffix(DIGEST))
            if named is not None and named.kind != "history" and named.segment in going:
                discard(f"{folder}/{name}")
        sync_folder(folder)
    except OSError as error:
        raise disk_failure(error, folder) from error


def sweep(place: Path, now: float) -> tuple[str, ...]:
    """Remove what pushes left that were cut off; never the file of one that lives. It blocks."""
    swept = []
    try:
        for name in look(place).unfinished:
            path = place / name
            if _abandoned(path, now):
                discard(str(path))
                swept.append(name)
    except OSError as error:
        raise disk_failure(error, str(place)) from error
    return tuple(swept)


def _abandoned(path: Path, now: float) -> bool:
    """Whether nobody writes it: neither here, where a lock tells, nor elsewhere, where its age must."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if now - os.fstat(handle).st_mtime < STALE_SECONDS:
            return False
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return path.name.endswith(UNFINISHED)
