"""A file of PostgreSQL's given back: whole and checked, or plainly not there; everything else is a failure.

PostgreSQL takes "not there" for the end of the WAL, and a server that recovers is then promoted. So a hole before
later WAL, a damaged file and a disk that does not answer are none of that: they raise.

A part of the fast path (see `command`): it imports next to nothing.
"""

from __future__ import annotations

import os

from backup.wal.manner import known_manner
from backup.wal.place import FILE_MODE, discard, disk_failure, failure, owner
from backup.wal.pushing import clear
from backup.wal.segments import (
    HISTORY,
    LONG_HEADER,
    PARTIAL,
    SEGMENT_BYTES,
    SUM,
    Named,
    PageReader,
    header_of,
    header_trouble,
    lsn_number,
    parse,
    segment_number,
    stored,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from backup.wal.manner import Manner

_UNFINISHED = ".toban"
_MOST_HISTORY_BYTES = 1024 * 1024


def fetch(
    name: str,
    destination: str | os.PathLike[str],
    place: str | os.PathLike[str],
    manner: Manner | None = None,
    *,
    partial: bool = False,
    accept_gap: bool = False,
) -> bool:
    """Put a file of PostgreSQL's where it is wanted; False when the place has it not.

    With `partial` a segment that was never finished is given where there is nothing newer: whoever restores to the
    latest moment wants it. With `accept_gap` somebody wants what there is before a gap, and no more.
    """
    folder = os.fspath(place)
    named = parse(name)
    if named is None or named.plain != name:
        raise failure(name, "is no name that PostgreSQL gives to its WAL", "", "configuration")
    try:
        manner = manner or known_manner(folder)
        there = _found(named, folder, partial=partial, accept_gap=accept_gap)
        if there is not None and not given(there, os.fspath(destination), folder, manner):
            there = _found(named, folder, partial=partial, accept_gap=accept_gap)
            if there is not None:
                give(there, os.fspath(destination), folder, manner)
    except OSError as error:
        raise disk_failure(error, folder) from error
    return there is not None


def given(there: Named, destination: str, folder: str, manner: Manner) -> bool:
    """Give it; False where it was finished or packed meanwhile, and has another name now."""
    try:
        give(there, destination, folder, manner)
    except FileNotFoundError:
        if os.path.lexists(f"{folder}/{there.name}"):
            raise
        return False
    return True


def _found(named: Named, folder: str, *, partial: bool, accept_gap: bool) -> Named | None:
    """Under which name a file is to be had; None where it is not there, and nothing says that it ever was."""
    os.stat(folder)  # a repository that is gone holds no answer
    there = stored(folder, named.plain)
    if there is not None or named.kind != "segment":
        return there
    gap = gap_after(folder, named.plain)
    unfinished = _unfinished(folder, named.plain) if partial and not gap else None
    there = stored(folder, named.plain)  # again: it may have been finished while we looked around
    if there is None and gap and not accept_gap:
        hint = "it is lost; restore to a moment before it, or accept the gap"
        raise failure(f"{folder}/{named.plain}", f"is missing, and {gap}", hint, "missing")
    return there or unfinished


def _unfinished(folder: str, name: str) -> Named | None:
    """The segment that was still being received, if anything stands in it."""
    there = stored(folder, name + PARTIAL)
    if there is not None and not there.compression and not there.seal:
        try:
            with open(f"{folder}/{there.name}", "rb") as file:
                if header_of(file.read(LONG_HEADER.size)) is None:
                    return None
        except FileNotFoundError:  # it has just been finished
            return None
    return there


def give(there: Named, destination: str, folder: str, manner: Manner) -> None:
    """Write what lies in a place to a destination, in the clear: whole, or not at all."""
    unfinished = destination + _UNFINISHED
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            walk = Walk(there, folder)
            for piece in clear(there, folder, manner):
                walk.take(piece)
                _write(handle, piece)
            walk.done()
        finally:
            os.close(handle)
        os.rename(unfinished, destination)
    finally:
        discard(unfinished)


def stage(
    names: Iterable[str], into: str | os.PathLike[str], place: str | os.PathLike[str], manner: Manner | None = None
) -> None:
    """Lay files of PostgreSQL's out in the clear in a folder, for a server that may not enter the repository."""
    for name in names:
        if not fetch(name, f"{os.fspath(into)}/{name}", place, manner, accept_gap=True):
            raise failure(f"{os.fspath(place)}/{name}", "is missing", "", "missing")


def gap_after(folder: str, segment: str) -> str:
    """What shows that a segment which is not there once was; empty where it may simply be yet to come."""
    timeline = int(segment[:8], 16)
    names = [name for name in os.listdir(folder) if _may_follow(name, segment)]  # of very many few are worth parsing
    for other in sorted(filter(None, map(parse, names)), key=lambda named: named.plain):
        if other.timeline == timeline and other.kind in ("segment", "partial") and other.segment > segment:
            return f"{other.plain} after it is there"
        if other.kind == "history" and other.timeline > timeline:
            left_at = _left_at(f"{folder}/{other.name}", timeline)
            if left_at is not None and left_at // _segment_bytes(folder) > segment_number(
                segment, _segment_bytes(folder)
            ):
                return f"timeline {other.timeline} began after it"
    return ""


def _may_follow(name: str, segment: str) -> bool:
    return (name[:8] == segment[:8] and name[8:] > segment[8:]) or name.endswith(HISTORY)


class Walk:
    """Looks at what is given, on its way: a segment is of this server, is where its name says, and is whole."""

    def __init__(self, there: Named, folder: str) -> None:
        self._path = f"{folder}/{there.name}"
        self._there = there
        self._folder = folder
        self._beginning = b""
        self._bytes = 0
        self._wanted_bytes: int | None = None
        self._pages: PageReader | None = None
        self._sum, self._wanted_sum = 0, _noted_sum(there, folder)

    def take(self, piece: bytes) -> None:
        """More of it."""
        self._bytes += len(piece)
        if self._wanted_sum:
            self._sum = _crc32(piece, self._sum)
        if self._there.kind not in ("segment", "partial"):
            return
        if self._pages is None:
            self._beginning += piece
            if len(self._beginning) < LONG_HEADER.size:
                return
            piece = self._beginning
            self._pages = self._begun()
        self._pages.take(piece)
        if self._pages.trouble and self._there.kind == "segment":
            raise failure(self._path, f"is damaged: {self._pages.trouble}", "", "damaged")

    def done(self) -> None:
        """That was all of it."""
        if self._there.kind in ("segment", "partial") and self._bytes != self._wanted_bytes:
            wanted = self._wanted_bytes or "more"
            raise failure(self._path, f"is damaged: it has {self._bytes} bytes, not {wanted}", "", "damaged")
        if self._wanted_sum and self._wanted_sum != f"{self._sum:08x}":
            raise failure(self._path, "is damaged: it is not what was pushed", "", "damaged")

    def _begun(self) -> PageReader:
        known = owner(self._folder)
        header = header_of(self._beginning)
        trouble = header_trouble(header, self._there.segment, known[0] if known else None)
        if trouble or header is None:
            raise failure(self._path, trouble, "", "damaged")
        self._wanted_bytes = header.segment_bytes
        return PageReader(header.address, header.page_bytes, self._there.timeline)


def _noted_sum(there: Named, folder: str) -> str:
    """What was noted when it was pushed as it is: a flipped byte in a record looks to PostgreSQL like the WAL's end."""
    if there.plain != there.name:
        return ""
    try:
        return os.getxattr(f"{folder}/{there.name}", SUM).decode(errors="replace")
    except OSError:  # none, or a file system that has no such thing; whether the file is there is seen elsewhere
        return ""


def _crc32(piece: bytes, before: int) -> int:
    from zlib import crc32  # noqa: PLC0415 - for what is not packed alone

    return crc32(piece, before)


def _left_at(path: str, parent: int) -> int | None:
    """Where a history says that its timeline, or one in between, left its parent."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(_MOST_HISTORY_BYTES).splitlines()
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0] == str(parent):
            return lsn_number(words[1])
    return None


def _segment_bytes(folder: str) -> int:
    known = owner(folder)
    return known[1] if known else SEGMENT_BYTES


def _write(handle: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(handle, view) :]
