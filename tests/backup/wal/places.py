"""Places for WAL with segments made by hand: smaller than PostgreSQL's, so that tests write little."""

from pathlib import Path

from backup.wal.manner import Manner
from backup.wal.pushing import push
from backup.wal.segments import LONG_HEADER, PAGE_HEADER, segment_name

SEGMENT_BYTES = 1024 * 1024
PAGE_BYTES = 8192
SYSTEM = 7412345678901234567
MAGIC_15 = 0xD110
PLAIN = Manner(compress="none")


def a_segment(
    number: int = 1,
    *,
    timeline: int = 1,
    system: int = SYSTEM,
    segment_bytes: int = SEGMENT_BYTES,
    page_timeline: int | None = None,
    filling: bytes = b"rows",
    pages: int | None = None,
) -> bytes:
    """A whole segment as PostgreSQL lays one out: each page with its header, so many of them written."""
    found = bytearray()
    written = segment_bytes // PAGE_BYTES if pages is None else pages
    for page in range(written):
        address = number * segment_bytes + page * PAGE_BYTES
        if page == 0:
            head = LONG_HEADER.pack(
                MAGIC_15, 0x0002, page_timeline or timeline, address, 0, system, segment_bytes, PAGE_BYTES
            )
        else:
            head = PAGE_HEADER.pack(MAGIC_15, 0, page_timeline or timeline, address)
        body = filling * ((PAGE_BYTES - len(head)) // len(filling))
        found += (head + body).ljust(PAGE_BYTES, b"\0")
    return bytes(found).ljust(segment_bytes, b"\0")


def a_file(folder: Path, number: int = 1, *, timeline: int = 1, name: str | None = None, content: bytes = b"") -> Path:
    """A segment as it lies in the server's pg_wal."""
    folder.mkdir(exist_ok=True)
    path = folder / (name or segment_name(timeline, number, SEGMENT_BYTES))
    path.write_bytes(content or a_segment(number, timeline=timeline))
    return path


def a_repository(root: Path) -> Path:
    """A folder that is one, as far as WAL is concerned."""
    made = root / "repository"
    made.mkdir(exist_ok=True)
    (made / "repository.json").touch()
    return made


def a_place(root: Path, *numbers: int, timeline: int = 1, manner: Manner = PLAIN) -> Path:
    """A place in a repository with these segments pushed into it."""
    place = a_repository(root) / "main" / "wal"
    for number in numbers:
        push(a_file(root / "pg_wal", number, timeline=timeline), place, manner)
    return place


def names_in(place: Path) -> list[str]:
    """What lies in a place, without its documents."""
    return sorted(path.name for path in place.iterdir() if path.suffix != ".json")
