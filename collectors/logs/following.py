"""Which files a log consists of now, and where each that was known has gone: renamed, copied, truncated, compressed."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from collectors.logs.names import Key, Kin, Names, Origins
from collectors.logs.position import BROKEN, HEAD_BYTES, Entry, Handle, Position, is_packed, unpacked
from collectors.logs.settings import LogsSettings

FILES_MAX = 2000  # beyond, the oldest are left out
LOST_MAX = 1000  # positions of files that are gone, in case they come back
LOST_SECONDS = 7 * 86400.0
HANDLES_MAX = 100  # of each log
SETTLED_SECONDS = 60.0  # an unfinished line at the end of what was rotated away counts as one after this
_COMPARED_BYTES = 4096

Entries = dict[Key, Entry]


class Following:
    """The files of one log. `look` brings the positions up to date; reading is somebody else's."""

    def __init__(self, settings: LogsSettings) -> None:
        self.settings = settings
        self.positions: list[Position] = []
        self.first = True  # nothing is remembered: what there is has been there before us
        self.newest_ns = 0
        self.unreadable: list[tuple[str, OSError]] = []
        self.passed: dict[Key, int] = {}  # how far those were read, or how long they were, that are left out
        self.left_out = 0
        self.matched = 0
        self._opened = 0
        self._kin = Kin((), ())
        self._returning: dict[Key, int] = {}

    def look(self, now: float) -> list[Position]:
        """Find every file again. What comes back are those that are gone, for whom their last line is to be counted."""
        self.unreadable = []
        self._opened = sum(position.handle is not None for position in self.positions)
        entries = self._entries()
        self._kin = Kin(self.positions, entries)
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
        newest = sorted(found.values(), key=lambda entry: entry.changed_ns, reverse=True)
        self._pass_over(newest[FILES_MAX:])
        for path in self._siblings({*(p.origin for p in self.positions), *(e.path for e in newest[:FILES_MAX])}):
            self._note(found, path, wanted=False)
        rotated = sorted((e for e in found.values() if not e.wanted), key=lambda e: e.changed_ns, reverse=True)
        return [*newest, *rotated][:FILES_MAX]

    def _pass_over(self, entries: list[Entry]) -> None:
        """Remember of those for whom there is no room where to go on, should they be among the newest again."""
        read = {p.key: p.offset for p in self.positions}
        plain = [entry for entry in entries if not entry.suffix]
        self._returning = self.passed
        self.passed = {e.key: read.get(e.key, self._returning.get(e.key, e.size)) for e in plain}
        self.left_out = len(entries)

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
        folders: dict[str, Names] = {}
        for origin in origins:
            folder, name = os.path.split(os.path.realpath(origin))
            folders.setdefault(folder, Names()).add(name)
        for folder, names in folders.items():
            yield from (f"{folder}/{file}" for file in _files(folder) if any(names.of(file)))
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
            elif (position.offset or position.after) and position.key not in self.passed:
                self._lose(position, now)
            else:
                gone.append(position)
        lost = sorted((p.lost_at, p.key) for p in self.positions if p.lost_at is not None)
        forgotten = {key for _, key in lost[:-LOST_MAX]}
        self.positions = [p for p in self.positions if p.lost_at is None or p.key not in forgotten]
        return gone

    def _lose(self, position: Position, now: float) -> None:
        """Nowhere to be seen. A disk that is mounted again, or a right that is given back, does not make it new."""
        position.handle, position.live = None, False
        position.lost_at = now if position.lost_at is None else position.lost_at
        if now - position.lost_at < LOST_SECONDS:
            self.positions.append(position)

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
        there = [entry for entry in unclaimed.values() if self._related(position, entry)]
        for entry in (*there, *(_entry(shadow) for shadow in shadows.values())):
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
        if not known.tail or not known.is_certain or position.compressed or not self._related(position, entry):
            return False
        if entry.suffix:
            return is_packed(known, entry)
        try:
            return known.stands_in(Handle(entry.path))
        except OSError:
            return False

    def _related(self, position: Position, entry: Entry) -> bool:
        return self._kin.are(position, entry) or (self.settings.rotated is not None and not entry.wanted)

    def _welcome(self, unclaimed: Entries, now: float) -> None:
        """What was never seen: read from its start, unless it was here before us or is a copy of what we know."""
        families: dict[str, list[Position]] = {}
        for position in self.positions:
            families.setdefault(position.origin, []).append(position)
        origins = Origins(families)
        for entry in sorted(unclaimed.values(), key=lambda entry: (not entry.wanted, entry.changed_ns)):
            origin = origins.of(entry) or entry.path
            known = families.get(origin, []) if entry.path != origin else []
            copied = any(self._is_copy(other, entry) for other in known)
            if not copied and not self.first and any(_is_under_way(other, entry) for other in known):
                continue
            met = self._first_met(entry, origin, now, copied=copied)
            if met is not None:
                self.positions.append(met)
                families.setdefault(origin, []).append(met)
                origins.add(origin)

    def _first_met(self, entry: Entry, origin: str, now: float, *, copied: bool) -> Position | None:
        position = Position(path=entry.path, origin=origin, device=entry.device, inode=entry.inode)
        position.compressed = entry.suffix
        before_us = self._was_before_us(entry)
        position.shadow = copied or (before_us and (not entry.wanted or bool(entry.suffix)))
        if not self._open(position, entry):
            position.offset = entry.size
            if not self.first:
                return None  # as soon as it can be read it is new
        elif position.handle is not None:
            size = position.handle.stat.st_size
            before_bytes = size if position.shadow or before_us else min(size, self._returning.get(entry.key, 0))
            position.mark(position.handle, before_bytes)
        _see(position, entry, now)
        self._keep_few_open(position)
        return position

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
        if position.handle.stat.st_ino == entry.inode:
            return True
        position.handle = None  # renamed between the look and this: the next look finds both
        return False

    def _settled(self, position: Position, now: float) -> bool:
        since = max(position.idle_since, position.lost_at or 0.0)
        return position.behind_bytes == 0 and now - since >= SETTLED_SECONDS

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


def _files(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - text, of which there may be very much
    except OSError:
        return []


def _see(position: Position, entry: Entry, now: float) -> None:
    if (entry.size, entry.changed_ns) != (position.size, position.changed_ns):
        position.idle_since = now
    position.path, position.size, position.changed_ns = entry.path, entry.size, entry.changed_ns
    position.live, position.lost_at = entry.wanted, None


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
