"""One cheap look at a file, in the thread that may hang: sizes, counts and locks."""

import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from collectors.sqlite.header import HEADER_BYTES, Header, parse_header
from collectors.sqlite.locks import LOCK_BYTES, PENDING_BYTE, WAL_WRITE_BYTE, descriptor_of, is_of, write_locked
from collectors.sqlite.looking import PRIMARY_CODE, Look, UnusableError, explain
from collectors.sqlite.walindex import found_in, part_from_deleted
from toban.outcomes import Failure, Reason

ATTEMPTS = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Pages and versions, as a reader sees them now."""

    page_size_bytes: int
    pages: int
    free_pages: int
    schema_version: int
    user_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one look has found. Without counts the file is empty, or `failure` says why."""

    size_bytes: int
    wal_bytes: int
    modified_at: float
    wal: bool
    write_locked: bool
    counts: Counts | None = None
    failure: Failure | None = None


class Access(StrEnum):
    """How the file may be read now."""

    SHARED = "shared"  # WAL, both files there: a read transaction, which no writer notices
    AT_REST = "at rest"  # WAL mode, nobody has it open: everything is in the file
    ALONE = "alone"  # a WAL that cannot be shared: kept exclusively, or left by a crash
    ROLLBACK = "rollback"  # no WAL: without any lock


def survey(look: Look) -> Survey:
    """Look once."""
    found = inspect(look.path)
    with look.connection("readonly_shm=1") as connection:
        locked, header = through(found, lambda descriptor: held_and_header(descriptor, found))
        access = access_of(header, look.path)
        counts, failure = _counted(header, access, found, look.path, connection)
        if access is Access.SHARED:
            locked = locked or _log_locked(look.path)
        else:
            part_from_deleted()
    log = sibling(look.path, "-wal")
    return Survey(
        size_bytes=found.st_size,
        wal_bytes=log.st_size if log else 0,
        modified_at=max(found.st_mtime, log.st_mtime) if log else found.st_mtime,
        wal=access is not Access.ROLLBACK,
        write_locked=locked,
        counts=counts,
        failure=failure,
    )


def inspect(path: Path) -> os.stat_result:
    """What lies at the path, if it is a file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "special file"
        raise UnusableError(
            Failure(reason=Reason.NOT_FOUND, detail=f"{path} is a {kind}, no database file", hint="check `path`")
        )
    return found


def opened(found: os.stat_result) -> int:
    """The descriptor that SQLite has opened for it."""
    descriptor = descriptor_of(found)
    if descriptor is None:
        raise FileNotFoundError("the file was replaced in this moment")
    return descriptor


def through(found: os.stat_result, use: Callable[[int], T]) -> T:
    """What is learnt by a descriptor of the file. Another look may close it under us: then it counts for nothing."""
    for _ in range(ATTEMPTS):
        descriptor = opened(found)
        try:
            learnt = use(descriptor)
        except (OSError, UnusableError):
            if is_of(descriptor, found):
                raise
            continue
        if is_of(descriptor, found):
            return learnt
    raise UnusableError(Failure(reason=Reason.LOCKED, detail="its descriptors were closed during every attempt"))


def held_and_header(descriptor: int, found: os.stat_result) -> tuple[bool, Header | None]:
    """Whether somebody holds a lock to write, and the header; an empty file has none yet."""
    locked = write_locked(descriptor, PENDING_BYTE, LOCK_BYTES)
    return locked, read_header(descriptor) if found.st_size else None


def read_header(descriptor: int) -> Header:
    """The header as it is in the file."""
    return parse_header(os.pread(descriptor, HEADER_BYTES, 0))


def access_of(header: Header | None, path: Path) -> Access:
    """By the file's format and what lies beside it. An empty file has no format yet."""
    if header is None or not header.wal:
        return Access.ROLLBACK
    log = sibling(path, "-wal")
    if log is None:
        return Access.AT_REST
    if sibling(path, "-shm") is None:
        return Access.ALONE
    return Access.SHARED


def sibling(path: Path, suffix: str) -> os.stat_result | None:
    """The file that SQLite keeps beside the database, if it does now."""
    try:
        return path.with_name(path.name + suffix).stat()
    except FileNotFoundError:
        return None


def counts_of(header: Header, size_bytes: int) -> Counts:
    """What the header says, when no WAL stands before it."""
    return Counts(
        page_size_bytes=header.page_size_bytes,
        pages=header.pages if header.pages is not None else size_bytes // header.page_size_bytes,
        free_pages=header.free_pages,
        schema_version=header.schema_version,
        user_version=header.user_version,
    )


def rows_of(connection: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    """The answer to a query of that name.

    A reader that may not write to the -shm file cannot wait for a writer who is just changing its header; SQLite then
    says READONLY, some 6 times in 10,000 beside a writer that never rests. The next moment it can be read.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return connection.execute(query(name)).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_READONLY:
                raise
    return connection.execute(query(name)).fetchall()


@cache
def query(name: str) -> str:
    """The SQL of that name."""
    return resources.files("collectors.sqlite").joinpath("queries", f"{name}.sql").read_text()


NOT_SHARED = Failure(
    reason=Reason.LOCKED,
    detail="its write-ahead log has no -shm file: kept exclusively (locking_mode) or left behind by a crash",
)


def _counted(
    header: Header | None, access: Access, found: os.stat_result, path: Path, connection: sqlite3.Connection
) -> tuple[Counts | None, Failure | None]:
    """The counts, or why there are none just now; neither for an empty file."""
    if header is None:
        return None, None
    if access is Access.ALONE:
        return None, NOT_SHARED
    if access is not Access.SHARED:
        return counts_of(header, found.st_size), None
    shared, log = (path.with_name(path.name + suffix) for suffix in ("-shm", "-wal"))
    seen = found_in(shared, log, lambda: through(found, read_header))
    if seen is None:
        return _asked(connection)
    counts = counts_of(seen.header, found.st_size)
    return (counts if seen.pages is None else replace(counts, pages=seen.pages)), None


def _asked(connection: sqlite3.Connection) -> tuple[Counts | None, Failure | None]:
    """The counts by a read transaction."""
    try:
        page_size, pages, free, schema, user = rows_of(connection, "counts")[0]
    except sqlite3.DatabaseError as error:
        failure = explain(error)
        if failure.down:
            raise
        return None, failure
    counts = Counts(page_size_bytes=page_size, pages=pages, free_pages=free, schema_version=schema, user_version=user)
    return counts, None


def _log_locked(path: Path) -> bool:
    """Whether somebody writes to the WAL; the look at its index, or our own reader, keeps the -shm file open."""
    shared = sibling(path, "-shm")
    if shared is None or descriptor_of(shared) is None:
        return False
    return through(shared, lambda descriptor: write_locked(descriptor, WAL_WRITE_BYTE, 1))
