"""The counts of a database in WAL mode, read out of its -shm and -wal without any lock.

SQLite's own readers take none that a writer meets, but for one: who reads the index's header just while it is changed
asks for the writer's lock for a moment, and a writer that waits for nobody is refused if it begins in that very moment
(twice in two million reads beside a writer that never rests). Here the header is read again instead.

The file is opened by hand, and then kept open: closing any descriptor of it would drop every lock that this process
holds on it. It is parted from once it is deleted, when its locks mean nothing to anybody, and where nobody else has it
open, neither another process nor this one: a disk on which we kept a file open could not be unmounted.
"""

import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.sqlite.header import HEADER_BYTES, Header, parse_header
from collectors.sqlite.locks import OPEN_BYTE, descriptors_of, held
from collectors.sqlite.looking import UnusableError

ATTEMPTS: Final = 40
AT_ONCE: Final = 5
PAUSE_SECONDS: Final = 0.005  # between the later ones: a writer may have lost its processor in the middle of a change
MOST_OPEN: Final = 256
MOST_FRAMES: Final = 16 * 1024 * 1024
VERSION: Final = 3_007_000
COPY_BYTES: Final = 48
HEAD_BYTES: Final = 136  # two copies, and what the checkpoint has done
FIRST_BLOCK, BLOCK = (
    4096 - HEAD_BYTES // 4,
    4096,
)  # page numbers in the first block of the index, and in each further one
BLOCK_BYTES: Final = 32768
LOG_HEAD_BYTES, FRAME_HEAD_BYTES = 32, 24
# Version, -, change, initialized, -, page size, frames, pages; then sums and the salt, of which the salt is compared.
_LAYOUT: Final = struct.Struct("=III??HII8x8s8x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What the index's header says: the newest frame of the log, and how many pages there are with it."""

    page_size_bytes: int
    frames: int
    pages: int
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first page's header as a reader has it now, and the number of pages; None where the log is empty."""

    header: Header
    pages: int | None


def found_in(shared: Path, log: Path, in_file: Callable[[], Header]) -> Found | None:
    """What a reader has now; None where only SQLite itself can tell: nobody has it open, or it changes too fast."""
    descriptor = _opened(shared)
    if descriptor is None:
        return None
    if not held(descriptor, OPEN_BYTE):
        _let_go(descriptor)
        return None
    for attempt in range(ATTEMPTS):
        if attempt >= AT_ONCE:
            time.sleep(PAUSE_SECONDS)
        with suppress(OSError, UnusableError):
            found = _found(descriptor, log, in_file)
            if found is not None:
                return found
    return None


def _found(descriptor: int, log: Path, in_file: Callable[[], Header]) -> Found | None:
    """One attempt. What is committed meanwhile does no harm, unless the log begins anew, or page 1 comes into it."""
    index = _index(descriptor)
    if index is None:
        return None
    frame = _newest_of_first_page(descriptor, index.frames)
    header = in_file() if frame is None else _in_log(log, frame, index)
    after = _index(descriptor)
    if header is None or after is None or after.salt != index.salt:
        return None
    if frame is None and _newest_of_first_page(descriptor, after.frames) is not None:
        return None
    return Found(header=header, pages=index.pages if index.frames else None)


def _raw(descriptor: int) -> bytes:
    return os.pread(descriptor, HEAD_BYTES, 0)[: 2 * COPY_BYTES]


def _index(descriptor: int) -> Index | None:
    """The header, whose two copies are the same unless it is being changed."""
    raw = _raw(descriptor)
    if len(raw) < 2 * COPY_BYTES or raw[:COPY_BYTES] != raw[COPY_BYTES:]:
        return None
    version, _, _, initialized, _, size, frames, pages, salt = _LAYOUT.unpack(raw[:COPY_BYTES])
    if version != VERSION or not initialized or frames > MOST_FRAMES:
        return None
    page_size = (size & 0xFE00) + ((size & 1) << 16)
    return Index(page_size_bytes=page_size, frames=frames, pages=pages, salt=salt)


def _newest_of_first_page(descriptor: int, frames: int) -> int | None:
    """The newest frame that holds page 1; None where the log does not have it."""
    while frames:
        block = 0 if frames <= FIRST_BLOCK else (frames - FIRST_BLOCK - 1) // BLOCK + 1
        before = 0 if block == 0 else FIRST_BLOCK + (block - 1) * BLOCK
        at = HEAD_BYTES if block == 0 else block * BLOCK_BYTES
        numbers = memoryview(os.pread(descriptor, 4 * (frames - before), at)).cast("I")
        for place in range(len(numbers) - 1, -1, -1):
            if numbers[place] == 1:
                return before + place + 1
        frames = before
    return None


def _in_log(log: Path, frame: int, index: Index) -> Header | None:
    """The header in a frame of the log, if it is still the frame that the index means. The log is locked by nobody."""
    at = LOG_HEAD_BYTES + (frame - 1) * (FRAME_HEAD_BYTES + index.page_size_bytes)
    with log.open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), FRAME_HEAD_BYTES + HEADER_BYTES, at)
    if data[:4] != b"\0\0\0\1" or data[8:16] != index.salt:
        return None
    return parse_header(data[FRAME_HEAD_BYTES:])


_kept: dict[tuple[int, int], int] = {}
_keeping = threading.Lock()


def part_from_deleted() -> None:
    """Close what was deleted since, as the last application that closes the database does with its index."""
    with _keeping:
        for key, descriptor in list(_kept.items()):
            if os.fstat(descriptor).st_nlink == 0:
                os.close(_kept.pop(key))


def _let_go(descriptor: int) -> None:
    """Close it, unless a connection in this process has the file open as well."""
    with _keeping:
        found = os.fstat(descriptor)
        if [*descriptors_of(found)] == [descriptor]:
            os.close(_kept.pop((found.st_dev, found.st_ino)))


def _opened(path: Path) -> int | None:
    """A descriptor of the file as it is there now, kept for the next look; None where there is none to be had."""
    try:
        part_from_deleted()
        found = path.stat()
        with _keeping:
            key = (found.st_dev, found.st_ino)
            if key not in _kept and len(_kept) < MOST_OPEN:
                _kept[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            return _kept.get(key)
    except OSError:
        return None
