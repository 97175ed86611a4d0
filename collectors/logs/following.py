"""Which files a log consists of now, and where each that was known has gone: renamed, copied, truncated, compressed."""

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from collectors.logs.position import BROKEN, HEAD_BYTES, Entry, Handle, Position, is_packed, unpacked
from collectors.logs.settings import LogsSettings

FILES_MAX = 2000  # beyond, the oldest are left out
HANDLES_MAX = 100  # of each log
SETTLED_SECONDS = 60.0  # an unfinished line at the end of what was rotated away counts as one after this
_COMPARED_BYTES = 4096
_PACKED = r"(?:\.(?:gz|bz2|xz|zst|lz4|Z|zip))?"

Entries = dict[tuple[int, int], Entry]


class Following:
    """The files of one log. `look` brings the positions up to date; reading is somebody else's."""

    def __init__(self, settings: LogsSettings) -> None:
        self.settings = settings
        self.positions: list[Position] = []
        self.first = True  # nothing is remembered: what there is has been there before us
        self.newest_ns = 0
        self.unreadable: list[tuple[str, OSError]] = []
        self.left_out = 0
        self.matched = 0
        self._opened = 0

    def look(self, now: float) -> list[Position]:
        """Find every file again. What comes back are those that are gone, for whom their last line is to be counted."""
        self.unreadable = []
        self._opened = sum(position.handle is not None for position in self.positions)
        entries = self._entries()
        unclaimed = {entry.key: entry for entry in entries}
        lived = {p.key for p in self.positions if p.live}
        gone = self._find_again(unclaimed, now)
        known = [p for p in self.positions if p.key in lived and not p.offset]
        before = len(self.positions)
        self._welcome(unclaimed, now)
        welcome = sorted(self.positions[before:], key=lambda p: p.changed_ns)
        self._link(known, welcome)
        gone = [position for position in gone if not _handed_on(position, welcome)]
        self.newest_ns = max((p.changed_ns for p in self.positions if p.live), default=self.newest_ns)
        self.first = False
        return gone

    def _entries(self) -> list[Entry]:
        """What the glob names, and beside it what rotation may have made of it; each file once."""
        found: Entries = {}
        named = glob.glob(str(self.settings.path), recursive=True, include_hidden=True)  # noqa: PTH207 - a path of text
        for path in sorted(named):
            if not any(fnmatch(path, shape) or fnmatch(Path(path).name, shape) for shape in self.settings.exclude):
                self._note(found, path, wanted=True)
        self.matched = len(found)
        for path in self._siblings({*(p.origin for p in self.positions), *(e.path for e in found.values())}):
            self._note(found, path, wanted=False)
        newest = sorted(found.values(), key=lambda entry: (entry.wanted, entry.changed_ns), reverse=True)
        self.left_out = max(0, len(newest) - FILES_MAX)
        return newest[:FILES_MAX]

    def _note(self, found: Entries, path: str, *, wanted: bool) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116 - a path of text; a symbolic link is followed
        except OSError as error:
            if wanted and not isinstance(error, FileNotFoundError):
                self.unreadable.append((path, error))
            return
        if stat.S_ISREG(status.st_mode):
            entry = Entry(
                path=path,
                device=status.st_dev,
                inode=status.st_ino,
                size=status.st_size,
                changed_ns=status.st_mtime_ns,
                wanted=wanted,
            )
            found.setdefault(entry.key, entry)

    def _siblings(self, origins: Iterable[str]) -> Iterator[str]:
        """Files that are named like rotated ones of the log."""
        folders: dict[str, list[str]] = {}
        for origin in origins:
            real = os.path.realpath(origin)
            folders.setdefault(str(Path(real).parent), []).append(Path(real).name)
        for folder, names in folders.items():
            shapes = [rotated_name(name) for name in names]
            yield from (str(path) for path in _files(folder) if any(shape.fullmatch(path.name) for shape in shapes))
        if self.settings.rotated is not None:
            yield from glob.glob(str(self.settings.rotated), recursive=True)  # noqa: PTH207 - a path of text

    def _find_again(self, unclaimed: Entries, now: float) -> list[Position]:
        mine = {p.key: unclaimed.pop(p.key) for p in self.positions if p.key in unclaimed}
        gone: list[Position] = []
        known, self.positions = self.positions, []
        shadows = [p for p in known if p.shadow]
        here = [p for p in known if not p.shadow and p.key in mine]
        away = [p for p in known if not p.shadow and p.key not in mine]
        for shadow in [p for p in shadows if p.key in mine]:
            if not self._keep_shadow(shadow, mine[shadow.key], [*here, *away], now):
                unclaimed[shadow.key] = mine[shadow.key]
        for position in here:
            gone += self._still_there(position, mine[position.key], unclaimed, now)
        for position in away:
            if position.handle is not None and not self._settled(position, now):
                # Deleted, or moved where we do not look; its writer may still be at it.
                gone += self._still_there(position, _opened(position, position.handle), unclaimed, now)
            elif self._moved(position, unclaimed, now):
                self.positions.append(position)
            else:
                gone.append(position)
        return gone

    def _keep_shadow(self, shadow: Position, entry: Entry, others: list[Position], now: float) -> bool:
        """A copy stays one while nothing writes to it, or what is written is still being copied. Else it is a log."""
        if (entry.size, entry.changed_ns) == (shadow.size, shadow.changed_ns):
            shadow.path = entry.path
        elif self._open(shadow, entry) and shadow.handle and shadow.stands_in(shadow.handle):
            shadow.shadow = any(self._is_copy(other, entry) for other in others if other.origin == shadow.origin)
            _see(shadow, entry, now)
        else:
            return False
        self.positions.append(shadow)
        return True

    def _still_there(self, position: Position, entry: Entry, unclaimed: Entries, now: float) -> list[Position]:
        """The file of this number is there. Is it still the one it was? Those whose content is gone come back."""
        same = entry.changed_ns == position.changed_ns and entry.size == position.size
        readable = same or self._open(position, entry)
        if not readable:
            entry = replace(entry, size=position.offset, changed_ns=-1)  # for now there is nothing to be read
        elif not same and position.handle is not None and not position.stands_in(position.handle):
            return self._begun_anew(position, entry, unclaimed, now)
        _see(position, entry, now)
        self._keep_few_open(position)
        self.positions.append(position)
        return []

    def _begun_anew(self, old: Position, entry: Entry, unclaimed: Entries, now: float) -> list[Position]:
        """Truncated in place. What was cut off may stand in a copy; the line that the cut went through goes on here."""
        new = Position(path=entry.path, origin=old.origin, device=entry.device, inode=entry.inode, handle=old.handle)
        old.handle = None
        gone = []
        if self._moved(old, unclaimed, now):
            self.positions.append(old)
            new.after = old.key
        elif old.path == entry.path:
            new.carry, new.skipping = old.carry, old.skipping
        else:
            gone.append(old)  # another file got the number of one that was deleted
        _see(new, entry, now)
        self.positions.append(new)
        return gone

    def _moved(self, position: Position, unclaimed: Entries, now: float) -> bool:
        """Whether its content was found under another number: a copy, or compressed."""
        shadows = {p.key: p for p in self.positions if p.shadow and position.tail}
        candidates = [*unclaimed.values(), *(_entry(shadow) for shadow in shadows.values())]
        for entry in candidates:
            if not position.tail or not self._is_copy(position, entry):
                continue
            unclaimed.pop(entry.key, None)
            self.positions = [p for p in self.positions if p is not shadows.get(entry.key)]
            for heir in [p for p in self.positions if p.after == position.key]:
                heir.after = entry.key
            position.device, position.inode = entry.key
            position.compressed, position.changed_ns, position.handle = entry.suffix, -1, None
            self._open(position, entry)
            _see(position, entry, now)
            return True
        return False

    def _is_copy(self, position: Position, entry: Entry) -> bool:
        known = position if position.tail else _unread(position)
        if not known.tail or position.compressed or not self._related(position, entry):
            return False
        if entry.suffix:
            return is_packed(known, entry)
        try:
            return known.stands_in(Handle(entry.path))
        except OSError:
            return False

    def _related(self, position: Position, entry: Entry) -> bool:
        name = Path(entry.path).name
        origins = {Path(position.origin).name, Path(os.path.realpath(position.origin)).name, Path(position.path).name}
        return any(name == origin or rotated_name(origin).fullmatch(name) for origin in origins) or (
            self.settings.rotated is not None and not entry.wanted
        )

    def _welcome(self, unclaimed: Entries, now: float) -> None:
        """What was never seen: read from its start, unless it was here before us or is a copy of what we know."""
        for entry in sorted(unclaimed.values(), key=lambda entry: (not entry.wanted, entry.changed_ns)):
            origin = self._origin(entry) or entry.path
            known = [p for p in self.positions if p.origin == origin and entry.path != origin]
            copied = any(self._is_copy(other, entry) for other in known)
            if not copied and not self.first and any(_is_under_way(other, entry) for other in known):
                continue
            position = Position(path=entry.path, origin=origin, device=entry.device, inode=entry.inode)
            position.compressed = entry.suffix
            before_us = self._was_before_us(entry)
            position.shadow = copied or (before_us and (not entry.wanted or bool(entry.suffix)))
            if not self._open(position, entry):
                position.offset = entry.size
                if not self.first:
                    continue  # as soon as it can be read it is new
            elif position.handle is not None and (position.shadow or before_us):
                position.mark(position.handle, position.handle.stat.st_size)
            _see(position, entry, now)
            self._keep_few_open(position)
            self.positions.append(position)

    def _link(self, known: list[Position], welcome: list[Position]) -> None:
        """Copies made one after the other since the last look: a line cut by the first goes on in the second."""
        fresh = [p for p in welcome if not p.live and not p.shadow]
        for position in known:
            copies = [p for p in fresh if p.origin == position.origin and p.changed_ns <= position.changed_ns]
            for copy in copies:
                copy.after, position.after = position.after, copy.key

    def _was_before_us(self, entry: Entry) -> bool:
        if self.first:
            return not (self.settings.from_start and entry.wanted and not entry.suffix)
        return not entry.wanted and entry.changed_ns < self.newest_ns

    def _origin(self, entry: Entry) -> str | None:
        """The log that a file is a rotated one of, by its name."""
        name = Path(entry.path).name
        for origin in dict.fromkeys(p.origin for p in self.positions):
            if entry.path == origin or rotated_name(Path(origin).name).fullmatch(name):
                return origin
        return None

    def _open(self, position: Position, entry: Entry) -> bool:
        """Whether it can be read."""
        if position.compressed:
            return True
        try:
            if position.handle is None:
                position.handle = Handle(entry.path)
                self._opened += 1
        except OSError as error:
            self.unreadable.append((entry.path, error))
            return False
        return position.handle.stat.st_ino == entry.inode

    def _settled(self, position: Position, now: float) -> bool:
        return position.behind_bytes == 0 and now - position.idle_since >= SETTLED_SECONDS

    def settled(self, now: float) -> Iterator[Position]:
        """Files that were rotated away, are read to their end and written no more, and end in the midst of a line."""
        heirs = {position.after for position in self.positions}
        for position in self.positions:
            if position.carry and not position.live and position.key not in heirs and self._settled(position, now):
                yield position

    def _keep_few_open(self, position: Position) -> None:
        """Open files can be read to their end whatever becomes of their name; but there are not any number of them."""
        if position.handle is not None and self._opened > HANDLES_MAX:
            position.handle = None
            self._opened -= 1


def rotated_name(name: str) -> re.Pattern[str]:
    """How rotated files of a name are called: app.log.1, app.log-20261121.gz, app-20261121.log, app.1.log.xz."""
    stem, dot, ending = name.partition(".")
    behind = re.escape(name) + r"[-._~]?[\w.:-]*"
    between = re.escape(stem) + r"[-._][\d][\d._:T-]*" + re.escape(dot + ending)
    return re.compile(f"(?:{behind}|{between}{_PACKED})")


def _files(folder: str) -> Iterator[Path]:
    try:
        yield from sorted(Path(folder).iterdir())
    except OSError:
        return


def _see(position: Position, entry: Entry, now: float) -> None:
    if (entry.size, entry.changed_ns) != (position.size, position.changed_ns):
        position.idle_since = now
    position.path, position.size, position.changed_ns, position.live = (
        entry.path,
        entry.size,
        entry.changed_ns,
        entry.wanted,
    )


def _handed_on(gone: Position, welcome: list[Position]) -> bool:
    """Whether a line goes on in a file of which nothing else was known: the first that came in its place."""
    heirs = (p for p in welcome if p.origin == gone.origin and not p.shadow and not p.offset and p.after is None)
    heir = None if gone.offset or not gone.carry else next(heirs, None)
    if heir is not None:
        heir.carry, heir.skipping = gone.carry, gone.skipping
    return heir is not None


def _opened(position: Position, handle: Handle) -> Entry:
    """A file that only we can still see."""
    found = os.fstat(handle.fd)
    seen = replace(_entry(position), size=found.st_size, changed_ns=found.st_mtime_ns, wanted=False)
    return replace(seen, device=found.st_dev, inode=found.st_ino)


def _entry(position: Position) -> Entry:
    return Entry(
        path=position.path,
        device=position.device,
        inode=position.inode,
        size=position.size,
        changed_ns=position.changed_ns,
        wanted=position.live,
    )


def _unread(position: Position) -> Position:
    """Nothing was read of it yet: it is known by how it begins."""
    found = replace(position, handle=None)
    if position.handle is not None:
        found.mark(position.handle, min(HEAD_BYTES, os.fstat(position.handle.fd).st_size))
    return found


def _is_under_way(position: Position, entry: Entry) -> bool:
    """Whether it is a copy of this file that is still being made: it will be looked at when it is complete."""
    if entry.suffix:
        try:
            with unpacked(entry) as stream:
                return bool(position.head) and stream.read(len(position.head)) == position.head
        except BROKEN:
            return True
    try:
        part, whole = Handle(entry.path), position.handle or Handle(position.path)
    except OSError:
        return False
    size = part.stat.st_size
    at = max(0, size - _COMPARED_BYTES)
    begin = part.read(_COMPARED_BYTES, 0)
    return begin == whole.read(len(begin), 0) and part.read(size - at, at) == whole.read(size - at, at)
