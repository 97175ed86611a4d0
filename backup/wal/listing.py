"""What lies in a place for WAL, read from the disk. It blocks: from the loop it is called in a thread."""

import os
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.wal.chain import Departure, File, Listing, history_of
from backup.wal.place import owner
from backup.wal.segments import SEGMENT_BYTES, UNFINISHED, Named, parse
from toban.backups import Trouble

MOST_HISTORY_BYTES: Final = 1024 * 1024


def look(place: Path) -> Listing:
    """Everything that is WAL there; nothing at all where there is no such folder yet."""
    try:
        with os.scandir(place) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if entry.is_file(follow_symlinks=False)]
        known = owner(str(place))
    except FileNotFoundError:
        return Listing()
    except OSError as error:
        why = error.strerror or str(error)
        raise BackupError(str(place), f"cannot be read: {why}", trouble=Trouble.REPOSITORY) from error
    files = [
        (named, File(name=name, size_bytes=status.st_size, modified_at=status.st_mtime))
        for name, status in sorted(found)
        if (named := parse(name)) is not None
    ]
    segments, doubles = _by_segment(files, "segment")
    partials, _ = _by_segment(files, "partial")
    return Listing(
        segments=segments,
        partials=partials,
        histories={named.timeline: _history(place / named.name) for named, _ in files if named.kind == "history"},
        doubles=doubles,
        unfinished=tuple(name for name, _ in found if name.endswith(UNFINISHED)),
        system_identifier=known[0] if known else None,
        segment_bytes=known[1] if known else SEGMENT_BYTES,
    )


def _by_segment(files: list[tuple[Named, File]], kind: str) -> tuple[dict[str, File], tuple[str, ...]]:
    """The files of a kind by their segment; and the segments of which there is more than one."""
    found: dict[str, File] = {}
    doubles = []
    for named, file in files:
        if named.kind == kind and named.segment in found:
            doubles.append(named.segment)
        elif named.kind == kind:
            found[named.segment] = file
    return found, tuple(doubles)


def _history(path: Path) -> tuple[Departure, ...]:
    with path.open("rb") as file:
        return history_of(file.read(MOST_HISTORY_BYTES).decode(errors="replace"))
