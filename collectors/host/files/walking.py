"""A walk over files and folders that may be interrupted: it goes on where it stood, and its end has the sums.

It follows no symbolic link but those it begins at, never leaves a file system, and counts a file once however many
names it has.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

BLOCK_BYTES = 512
LOOKS_BETWEEN = 64  # entries between two looks at the clock
MOST_NOTED = 200  # files of one kind that are noted by name; all are counted
MOST_LINKED = 1_000_000  # files with several names that are told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file, as the walk met it."""

    path: str
    size_bytes: int
    mode: int
    owner: int
    is_folder: bool = False


@dataclass(slots=True, kw_only=True)
class Sums:
    """What a walk has seen so far."""

    files: int = 0
    size_bytes: int = 0
    allocated_bytes: int = 0
    newest_at: float | None = None
    oldest_at: float | None = None
    large: list[File] = field(default_factory=list)
    large_count: int = 0
    refused: int = 0
    failed: int = 0
    other_file_systems: int = 0


class Walk:
    """One walk from a few starts. `each` is shown every file and folder that was met."""

    def __init__(
        self,
        starts: list[str],
        *,
        match: Callable[[str], bool],
        large_bytes: int,
        each: Callable[[File], None],
    ) -> None:
        self.sums = Sums()
        self._match = match
        self._large_bytes = large_bytes
        self._each = each
        self._linked: set[tuple[int, int]] = set()
        self._met = self._meet_all(starts)

    def go_on(self, is_time_up: Callable[[], bool]) -> bool:
        """Walk until the end or until the time is up; whether the end was reached."""
        looks = (number % LOOKS_BETWEEN == 0 and is_time_up() for number, _ in enumerate(self._met, 1))
        return not any(looks)

    def _meet_all(self, starts: list[str]) -> Iterator[None]:
        """One step for each entry met."""
        seen: set[tuple[int, int]] = set()
        for start in starts:
            found = self._look(partial(os.stat, start))
            if found is None or (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            yield
            if stat.S_ISDIR(found.st_mode):
                yield from self._meet_folders(start, found)
            elif stat.S_ISREG(found.st_mode):
                self._count(start, found)

    def _meet_folders(self, path: str, found: os.stat_result) -> Iterator[None]:
        waiting = [(path, found)]
        while waiting:
            here, status = waiting.pop()
            self._each(_file(here, status, is_folder=True))
            for child in self._children(here):
                yield
                below = self._look(partial(child.stat, follow_symlinks=False))
                if below is None:
                    continue
                if stat.S_ISREG(below.st_mode):
                    self._count(child.path, below)
                elif stat.S_ISDIR(below.st_mode) and below.st_dev != found.st_dev:
                    self.sums.other_file_systems += 1
                elif stat.S_ISDIR(below.st_mode):
                    waiting.append((child.path, below))

    def _children(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            self._note(error)

    def _look(self, look: Callable[[], os.stat_result]) -> os.stat_result | None:
        try:
            return look()
        except OSError as error:
            self._note(error)
            return None

    def _note(self, error: OSError) -> None:
        """What went meanwhile is no loss; what may not be seen is counted."""
        if isinstance(error, PermissionError):
            self.sums.refused += 1
        elif not isinstance(error, FileNotFoundError):
            self.sums.failed += 1

    def _count(self, path: str, status: os.stat_result) -> None:
        if not self._match(os.path.basename(path)):  # noqa: PTH119 - a text, of which there are millions
            return
        if status.st_nlink > 1:
            identity = status.st_dev, status.st_ino
            if identity in self._linked:
                return
            if len(self._linked) < MOST_LINKED:
                self._linked.add(identity)
        file, sums = _file(path, status), self.sums
        sums.files += 1
        sums.size_bytes += status.st_size
        sums.allocated_bytes += status.st_blocks * BLOCK_BYTES
        sums.newest_at = max(status.st_mtime, sums.newest_at or status.st_mtime)
        sums.oldest_at = min(status.st_mtime, sums.oldest_at or status.st_mtime)
        if status.st_size > self._large_bytes:
            sums.large_count += 1
            sums.large = sorted([*sums.large, file], key=lambda one: -one.size_bytes)[:MOST_NOTED]
        self._each(file)


def matching(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a file's name is one of those that count."""
    if "*" in patterns:
        return lambda _: True
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def read_start(path: str, most_bytes: int) -> bytes:
    """The beginning of a regular file, one byte more than asked for when there is more. It waits for no pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        pieces, left = [], most_bytes + 1
        while left > 0 and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _file(path: str, status: os.stat_result, *, is_folder: bool = False) -> File:
    return File(
        path=path,
        size_bytes=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        is_folder=is_folder,
    )
