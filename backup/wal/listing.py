"""What lies in a place for WAL, read from the disk. It blocks: from the loop it is called in a thread."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.wal.chain import Departure, File, Listing, history_of
from backup.wal.place import owner
from backup.wal.segments import SEGMENT_BYTES, UNFINISHED, Named, parse
from toban.backups import Trouble

MOST_HISTORY_BYTES: Final = 1024 * 1024
MOST_LOOKS: Final = 10


def look(place: Path) -> Listing:
    """Everything that is WAL there; nothing at all where there is no such folder yet."""
    try:
        if not place.exists():
            return Listing()
        found = _settled(place)
        known = owner(str(place))
        files = [
            (named, File(name=name, size_bytes=status.st_size, modified_at=status.st_mtime))
            for name, status in sorted(found.items())
            if (named := parse(name)) is not None
        ]
        histories = {named.timeline: _history(place / named.name) for named, _ in files if named.kind == "history"}
    except OSError as error:
        why = error.strerror or str(error)
        raise BackupError(str(place), f"cannot be read: {why}", trouble=Trouble.REPOSITORY) from error
    segments, doubles = _by_segment(files, "segment")
    partials, _ = _by_segment(files, "partial")
    return Listing(
        segments=segments,
        partials=partials,
        histories=histories,
        doubles=doubles,
        unfinished=tuple(name for name in found if name.endswith(UNFINISHED)),
        system_identifier=known[0] if known else None,
        segment_bytes=known[1] if known else SEGMENT_BYTES,
    )


def _settled(place: Path) -> dict[str, os.stat_result]:
    """The files by their names, looked at until nothing comes or goes meanwhile.

    Segments are finished, packed and pushed at any moment: one whose name changes while we look would not be seen under
    either, and what is not seen is taken for lost, or for the end of the WAL.
    """
    before: set[str] = set()
    found: dict[str, os.stat_result] = {}
    for _ in range(MOST_LOOKS):
        found = {}
        with os.scandir(place) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # gone since its name was read
                    if entry.is_file(follow_symlinks=False):
                        found[entry.name] = entry.stat()
        names = {name for name in found if not name.startswith(".")}  # a push's own file is nobody's yet
        if names == before:
            break
        before = names
    return found


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
