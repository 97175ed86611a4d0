"""The first hundred bytes of an SQLite file: what it is, how large, and by which count it last changed."""

import struct
from dataclasses import dataclass

from collectors.sqlite.looking import MEND, UnusableError
from toban.outcomes import Failure, Reason

HEADER_BYTES = 100
MAGIC = b"SQLite format 3\0"
WAL_FORMAT = 2
# From byte 16: page size, write and read format · 24: change counter, pages, first free page, free pages, schema
# cookie · 60: user version · 92: the change counter for which the number of pages was written.
_PAGE_SIZES = {1: 65536} | {1 << power: 1 << power for power in range(9, 16)}
_LAYOUT = struct.Struct(">16xHBB4xIIIII16xI28xI4x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header says. In WAL mode that is as of the last checkpoint."""

    page_size_bytes: int
    wal: bool
    change_counter: int
    pages: int | None  # None when an old SQLite (before 3.7) wrote last
    free_pages: int
    schema_version: int
    user_version: int


def parse_header(data: bytes) -> Header:
    """Read the header, or say what the file is instead."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        raise UnusableError(
            Failure(
                reason=Reason.CORRUPT,
                detail="the file is no SQLite database",
                hint="is `path` right? An encrypted file cannot be told from a foreign one",
            )
        )
    page_size, _, read_format, change, pages, _, free, schema, user, valid_for = _LAYOUT.unpack(data)
    if page_size not in _PAGE_SIZES:
        detail = f"the file's header is damaged: it says that a page has {page_size} bytes"
        raise UnusableError(Failure(reason=Reason.CORRUPT, detail=detail, hint=MEND))
    return Header(
        page_size_bytes=_PAGE_SIZES[page_size],
        wal=read_format == WAL_FORMAT,
        change_counter=change,
        pages=pages if change == valid_for else None,
        free_pages=free,
        schema_version=schema,
        user_version=user,
    )
