"""How far a file was read, and by what it is known again: its number on the disk, its beginning, and what stood there.

A name says nothing: rotation moves it to another file. The number (inode) says little: it is given away again when the
file is deleted. So the first bytes and the last ones that were read are remembered beside it.
"""

import bz2
import gzip
import lzma
import os
import stat
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

HEAD_BYTES = 256
TAIL_BYTES = 64
_OPEN: dict[str, Callable[[str], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)
"""What reading a compressed file may raise while it is being written, or when it is damaged."""


class Handle:
    """An open file. It closes itself when nobody holds it any more."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # a pipe in a file's place must not hang us
        self.fd = os.open(path, flags)
        self.close = weakref.finalize(self, os.close, self.fd)
        self.stat = os.fstat(self.fd)
        if not stat.S_ISREG(self.stat.st_mode):
            self.close()
            raise OSError(f"{path} is no regular file")

    def read(self, size: int, at: int) -> bytes:
        """Some bytes; fewer at the end."""
        return os.pread(self.fd, size, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file as a folder shows it."""

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int
    wanted: bool  # the log's own glob names it; else it only looks like a rotated one of it

    @property
    def key(self) -> tuple[int, int]:
        """What the disk calls it."""
        return self.device, self.inode

    @property
    def suffix(self) -> str:
        """Its compression, if it has one."""
        return found if (found := Path(self.path).suffix) in _OPEN else ""


@dataclass(slots=True, kw_only=True)
class Position:
    """One file and how far it was read. `offset` counts what was taken; `carry` is the unfinished line before it."""

    path: str
    origin: str  # the name it was first seen under, which rotated ones are named after
    device: int
    inode: int
    offset: int = 0
    head: bytes = b""
    tail: bytes = b""
    carry: bytes = b""
    skipping: bool = False  # in the midst of a line that was too long
    compressed: str = ""
    packed_ns: int = -1  # the compressed file as it was when its end was reached
    size: int = 0
    changed_ns: int = -1  # as it was when last looked at
    idle_since: float = 0.0
    live: bool = True  # named by the log's glob at the last look
    shadow: bool = False  # a copy, or from before our time: known, and not read
    after: tuple[int, int] | None = None  # the copy whose last, unfinished line goes on here
    lost_at: float | None = None  # since when it is nowhere to be seen
    handle: Handle | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> tuple[int, int]:
        """What the disk calls it."""
        return self.device, self.inode

    @property
    def behind_bytes(self) -> int:
        """What is still to be read; of a compressed file nobody knows."""
        return 0 if self.compressed or self.shadow or self.lost_at is not None else max(0, self.size - self.offset)

    @property
    def is_certain(self) -> bool:
        """Whether its content alone tells it from others. Of one that was away a line or two do not."""
        return self.lost_at is None or len(self.head) == HEAD_BYTES

    def take(self, chunk: bytes) -> None:
        """Go on by what was read."""
        if len(self.head) < HEAD_BYTES and len(self.head) == self.offset:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        self.tail = chunk[-TAIL_BYTES:] if len(chunk) >= TAIL_BYTES else (self.tail + chunk)[-TAIL_BYTES:]
        self.offset += len(chunk)

    def mark(self, handle: Handle, offset: int) -> None:
        """Stand at a place without having read what is before it."""
        self.offset = offset
        self.head = handle.read(min(HEAD_BYTES, offset), 0)
        self.tail = handle.read(min(TAIL_BYTES, offset), max(0, offset - TAIL_BYTES))
        self.skipping = bool(self.tail) and not self.tail.endswith(b"\n")

    def stands_in(self, handle: Handle) -> bool:
        """Whether an open, plain file begins as this one, and has the same bytes before the place."""
        if os.fstat(handle.fd).st_size < self.offset:
            return False
        if handle.read(len(self.head), 0) != self.head:
            return False
        return handle.read(len(self.tail), self.offset - len(self.tail)) == self.tail

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        plain = (
            "path",
            "origin",
            "device",
            "inode",
            "offset",
            "skipping",
            "compressed",
            "packed_ns",
            "size",
            "changed_ns",
        )
        found: dict[str, object] = {
            name: getattr(self, name) for name in (*plain, "idle_since", "live", "shadow", "after", "lost_at")
        }
        return found | {name: getattr(self, name).decode("latin-1") for name in ("head", "tail", "carry")}

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Position":
        """Out of JSON."""
        after = document["after"]
        texts = {name: document[name].encode("latin-1") for name in ("head", "tail", "carry")}
        return cls(**(document | texts | {"after": None if after is None else (after[0], after[1])}))


def unpacked(entry: Entry) -> BinaryIO:
    """A compressed file's content, as a stream."""
    return cast("BinaryIO", _OPEN[entry.suffix](entry.path))


def is_packed(position: Position, entry: Entry) -> bool:
    """Whether a compressed file holds what this position was in. While it is still being written it does not."""
    try:
        with unpacked(entry) as stream:
            if stream.read(len(position.head)) != position.head:
                return False
            stream.seek(max(0, position.offset - len(position.tail)))
            return stream.read(len(position.tail)) == position.tail
    except BROKEN:
        return False
