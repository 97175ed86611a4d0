"""WAL by its names and its headers: which file holds what, and whether it is what its name says.

Every `toban wal push` reads this, so that it imports next to nothing: no dataclasses, no typing, no pathlib.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT_BYTES = 16 * 1024 * 1024  # unless initdb was told otherwise
SEGMENT_LENGTH = 24
HISTORY_LENGTH = 8
SMALLEST_BYTES, LARGEST_BYTES = 1024**2, 1024**3  # what initdb allows, in powers of two
COMPRESSIONS = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}
SEALS = {".age": "age", ".gpg": "gpg"}
SUFFIXES = {name: suffix for suffix, name in (COMPRESSIONS | SEALS).items()}
PARTIAL, HISTORY, BACKUP = ".partial", ".history", ".backup"
UNFINISHED = ".push"  # how the name of a file ends that is still being written
SUM = "user.toban.crc32"  # an attribute of what is neither compressed nor sealed: a sum of what was pushed
DIGEST = ".sha256"  # beside what is sealed: nobody could tell otherwise whether another of its name is the same
# The first bytes of each segment name the major version, which is what pg_waldump must be of.
MAJORS = {0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}
LONG_HEADER = struct.Struct("=HHIQI4xQII")
PAGE_HEADER = struct.Struct("=HHIQ")
_IS_LONG = 0x0002
_SIGN = 0xD1  # of WAL, in the upper byte of what each page begins with
_HEX = frozenset("0123456789ABCDEF")


class Named:
    """What the name of a file in a place for WAL says."""

    __slots__ = ("compression", "kind", "name", "plain", "seal")

    def __init__(self, name: str, *, plain: str, kind: str, compression: str = "", seal: str = "") -> None:
        self.name = name
        self.plain = plain
        """PostgreSQL's own name for it: 24 digits, with what PostgreSQL puts behind them."""
        self.kind = kind
        """`segment`, `partial`, `history` or `backup`."""
        self.compression = compression
        self.seal = seal

    @property
    def segment(self) -> str:
        """The 24 digits; for a history its eight."""
        return self.plain.partition(".")[0]

    @property
    def timeline(self) -> int:
        """The timeline that its name begins with."""
        return int(self.plain[:8], 16)


class Header:
    """What the first page of a segment says of itself."""

    __slots__ = ("address", "magic", "page_bytes", "segment_bytes", "system_identifier", "timeline")

    def __init__(self, fields: tuple[int, ...]) -> None:
        self.magic, _, self.timeline, self.address, _, identifier, self.segment_bytes, self.page_bytes = fields
        self.system_identifier = str(identifier)

    @property
    def major(self) -> int | None:
        """The server's major version, as far as we know its sign."""
        return MAJORS.get(self.magic)


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it: `0/16B3748`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """A position as a number of bytes; raises ValueError for what is none."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no position in the WAL; one is written as 0/16B3748")
    return (int(high, 16) << 32) + int(low, 16)


def is_segment(name: str) -> bool:
    """Whether a name is that of a segment and of nothing else."""
    return len(name) == SEGMENT_LENGTH and _HEX.issuperset(name)


def segment_name(timeline: int, number: int, segment_bytes: int = SEGMENT_BYTES) -> str:
    """The name of the segment of this number on a timeline."""
    high, low = divmod(number, 0x100000000 // segment_bytes)
    return f"{timeline:08X}{high:08X}{low:08X}"


def segment_at(timeline: int, lsn: int, segment_bytes: int = SEGMENT_BYTES) -> str:
    """The name of the segment that a position lies in."""
    return segment_name(timeline, lsn // segment_bytes, segment_bytes)


def segment_number(name: str, segment_bytes: int = SEGMENT_BYTES) -> int:
    """The number of a segment: times its size it is where it begins."""
    return int(name[8:16], 16) * (0x100000000 // segment_bytes) + int(name[16:24], 16)


def history_name(timeline: int) -> str:
    """The file that says where a timeline came from."""
    return f"{timeline:08X}{HISTORY}"


def parse(name: str) -> Named | None:
    """What a name in a place for WAL means; None for anything else that may lie there."""
    left = name
    found = {"seal": "", "compression": ""}
    for key, suffixes in (("seal", SEALS), ("compression", COMPRESSIONS)):
        for suffix, meaning in suffixes.items():
            if left.endswith(suffix):
                found[key] = meaning
                left = left.removesuffix(suffix)
    if left.endswith(PARTIAL) and not found["compression"]:  # pg_receivewal's own: SEGMENT.lz4.partial
        inner = left.removesuffix(PARTIAL)
        for suffix, meaning in COMPRESSIONS.items():
            if inner.endswith(suffix):
                found["compression"] = meaning
                left = inner.removesuffix(suffix) + PARTIAL
    kind = _kind(left)
    return Named(name, plain=left, kind=kind, **found) if kind else None


def _kind(plain: str) -> str:
    """What PostgreSQL's own name is of; empty where it is none of its names."""
    first, *rest = plain.split(".")
    if len(first) == HISTORY_LENGTH and _HEX.issuperset(first):
        return "history" if rest == ["history"] else ""
    if not is_segment(first):
        return ""
    match rest:
        case []:
            return "segment"
        case ["partial"]:
            return "partial"
        case [offset, "backup"] if len(offset) == HISTORY_LENGTH and _HEX.issuperset(offset):
            return "backup"
    return ""


def variants(plain: str) -> Iterator[str]:
    """Every name under which a file of PostgreSQL's may lie in a place: as it is, compressed, sealed."""
    for compression in ("", ".zst", ".lz4", ".gz"):
        for seal in ("", *SEALS):
            yield f"{plain}{compression}{seal}"


def stored(place: str | os.PathLike[str], plain: str) -> Named | None:
    """Under which name a file of PostgreSQL's lies in a place; None where it does not."""
    folder = os.fspath(place)
    for name in variants(plain):
        try:
            os.lstat(f"{folder}/{name}")
        except FileNotFoundError:  # any other failure is none of ours to take for an answer
            continue
        return parse(name)
    return None


def header_of(beginning: bytes) -> Header | None:
    """What a segment's first bytes say; None where they are no beginning of a segment."""
    if len(beginning) < LONG_HEADER.size:
        return None
    fields = LONG_HEADER.unpack_from(beginning)
    if fields[0] >> 8 != _SIGN or not fields[1] & _IS_LONG:
        return None
    header = Header(fields)
    size = header.segment_bytes
    return header if SMALLEST_BYTES <= size <= LARGEST_BYTES and size & (size - 1) == 0 else None


def header_trouble(header: Header | None, segment: str, system_identifier: str | None = None) -> str:
    """Why a segment is not what its name says, or not of our server; empty where it is."""
    if header is None:
        return "does not begin as WAL does"
    begins_at = segment_number(segment, header.segment_bytes) * header.segment_bytes
    if header.address != begins_at:
        return f"says that it begins at {lsn_text(header.address)}, its name that it does at {lsn_text(begins_at)}"
    timeline = int(segment[:8], 16)
    if header.timeline > timeline:  # a lower one is right: a new timeline begins with a copy of the old one's pages
        return f"is of timeline {header.timeline}, its name of timeline {timeline}"
    if system_identifier is not None and header.system_identifier != system_identifier:
        return f"is of another server: its system identifier is {header.system_identifier}, not {system_identifier}"
    return ""


class PageReader:
    """Walks through a segment's pages as they come: each must say where it stands; only zeros may follow the last."""

    def __init__(self, begins_at: int, page_bytes: int, timeline: int) -> None:
        self.trouble = ""
        self.read_bytes = 0
        self.ends_at = begins_at  # behind the last page that is written
        self._begins_at = begins_at
        self._page_bytes = page_bytes
        self._timeline = timeline
        self._left = b""
        self._magic = 0

    def take(self, piece: bytes) -> None:
        """More of it."""
        content = self._left + piece if self._left else piece
        whole = len(content) - len(content) % self._page_bytes
        for offset in range(0, whole, self._page_bytes):
            if not self.trouble:
                self._look(content, offset)
        self._left = content[whole:]
        self.read_bytes += len(piece)

    def _look(self, content: bytes, offset: int) -> None:
        magic, _, timeline, address = PAGE_HEADER.unpack_from(content, offset)
        at = self._begins_at + self.read_bytes - len(self._left) + offset
        if not magic and not any(content[offset : offset + self._page_bytes]):
            return  # nothing was written here: a segment that was switched, or a partial one
        self._magic = self._magic or magic
        if magic != self._magic or address != at or not 0 < timeline <= self._timeline:
            self.trouble = f"the page at {lsn_text(at)} is not what should stand there"
        elif self.ends_at != at:
            self.trouble = f"pages before {lsn_text(at)} are empty"
        else:
            self.ends_at = at + self._page_bytes
