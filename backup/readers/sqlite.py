"""Reads an SQLite file: copies it in one pass by the backup API, or looks whether a copy is whole.

    sqlite.py copy SOURCE DESTINATION WAIT_SECONDS
    sqlite.py check FILE exact|none

The answer is one JSON object on the output. How a file may be read depends on its journal mode. Nothing is created
beside it, since its application could not open what belongs to somebody else:

- WAL with its `-wal` and `-shm`: a read transaction, which no writer notices.
- WAL that nobody has open (no `-wal`): all is in the file itself, read without a lock; it counts if nobody wrote.
- Rollback journal: a read lock. Whoever wants to commit meanwhile waits until the copy is through.

One pass (`pages=-1`): page by page the copy would begin anew with each commit, and never end beside a busy writer.
"""

import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

ATTEMPTS: Final = 5
PAUSE_SECONDS: Final = 0.05  # before the second attempt, and twice as long before each further one
HEADER_BYTES: Final = 100
MAGIC: Final = b"SQLite format 3\0"
WAL_FORMAT: Final = 2
MOST_ERRORS: Final = 20
MOST_VIOLATIONS: Final = 100_000
SHOWN_CHARACTERS: Final = 300
PRIMARY_CODE: Final = 0xFF
FACTS: Final = ("page_size", "page_count", "user_version", "application_id", "encoding")
_COLLATION = re.compile(r"no such collation sequence: (.+)")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TROUBLES = {
    sqlite3.SQLITE_BUSY: ("locked", ""),
    sqlite3.SQLITE_LOCKED: ("locked", ""),
    sqlite3.SQLITE_READONLY: ("locked", "its last writer was cut short: let the application open it once"),
    sqlite3.SQLITE_PERM: ("privilege", "let Toban's user read the file and enter its directory"),
    sqlite3.SQLITE_CANTOPEN: ("privilege", "let Toban's user read the file and enter its directory"),
    sqlite3.SQLITE_CORRUPT: ("damaged", "restore it, or save what `.recover` of the sqlite3 shell finds"),
    sqlite3.SQLITE_NOTADB: ("damaged", "is `path` right? An encrypted file cannot be told from a foreign one"),
    sqlite3.SQLITE_FULL: ("space", ""),
    sqlite3.SQLITE_IOERR: ("unreachable", "look for errors of the disk in the kernel's log"),
}
T = TypeVar("T")


class Fault(Exception):  # noqa: N818 - it is what the answer calls it
    """What keeps the file from being read."""

    def __init__(self, trouble: str, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.told = {"trouble": trouble, "why": why, "hint": hint}


@dataclass(frozen=True)
class Stamp:
    """How a file stands: the same after a look without a lock as before it, or the look counts for nothing."""

    inode: int
    size_bytes: int
    modified_ns: int
    header: bytes
    log: bool  # a write-ahead log lies beside it

    @property
    def wal(self) -> bool:
        """Whether it is in WAL mode."""
        return len(self.header) == HEADER_BYTES and self.header[19] == WAL_FORMAT

    @property
    def at_rest(self) -> bool:
        """Whether it is in WAL mode and nobody has it open."""
        return self.wal and not self.log


def copy(source: Path, destination: Path, wait_seconds: float) -> dict[str, Any]:
    """Copy it in one pass; what the source says of itself.

    A link leads to the file: SQLite keeps the log beside the file itself, and without it all would look at rest.
    """
    source = Path(os.path.realpath(source))
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2**attempt)
        before = _stamp(source)
        if before.wal and before.log and not _beside(source, "-shm"):
            raise Fault(
                "locked",
                "its write-ahead log cannot be shared: kept exclusively (locking_mode), or left behind by a crash",
                "let the application open it in the ordinary locking mode",
            )
        destination.write_bytes(b"")
        facts = _copied(source, destination, wait_seconds, "immutable=1" if before.at_rest else "readonly_shm=1")
        if not before.at_rest or _stamp(source) == before:
            return {**facts, "journal_mode": "wal" if before.wal else "rollback"}
    raise Fault("locked", "the file was written to during every attempt")


def check(path: Path, rows: str) -> dict[str, Any]:
    """Whether a copy that nobody writes to is whole: its pages, its indexes, its foreign keys, its rows."""
    with closing(_opened(path, 0.0, "immutable=1")) as connection:
        errors, unchecked, looked = _integrity(connection)
        found: dict[str, Any] = {
            "errors": errors,
            "unchecked": unchecked,
            "looked": looked,
            "violations": None,
            "rows": [],
        }
        if not errors:
            found["violations"] = _violations(connection)
            found["rows"] = list(_rows(connection)) if rows != "none" else []
        return found


def _stamp(path: Path) -> Stamp:
    """Nothing of it is open in this process, so that no lock is lost by closing it."""
    with path.open("rb") as file:
        status, header = os.fstat(file.fileno()), file.read(HEADER_BYTES)
    if header and not header.startswith(MAGIC):
        why = "the file is no SQLite database"
        raise Fault("damaged", why, "is `path` right? An encrypted file cannot be told from a foreign one")
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, header, _beside(path, "-wal"))


def _beside(path: Path, suffix: str) -> bool:
    return path.with_name(path.name + suffix).exists()


def _opened(path: Path, wait_seconds: float, *parameters: str) -> sqlite3.Connection:
    uri = f"file://{quote(bytes(path))}?{'&'.join(('mode=ro', 'cache=private', *parameters))}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=wait_seconds)
    connection.text_factory = lambda value: value.decode(errors="replace")
    return connection


def _copied(source: Path, destination: Path, wait_seconds: float, parameter: str) -> dict[str, Any]:
    with closing(_opened(source, wait_seconds, parameter)) as reader:
        reader.execute("BEGIN")
        _patient(lambda: reader.execute("SELECT count(*) FROM sqlite_master").fetchone())
        facts = {name: reader.execute(f"PRAGMA {name}").fetchone()[0] for name in FACTS}
        with closing(sqlite3.connect(destination, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode=off")
            writer.execute("PRAGMA synchronous=off")  # whoever keeps it syncs it
            reader.backup(writer, pages=-1)
    return {**facts, "version": sqlite3.sqlite_version}


def _patient(read: Callable[[], T]) -> T:
    """READONLY means for a reader of a WAL that its header was being changed in that moment; the next one will do."""
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_READONLY:
                raise
            time.sleep(PAUSE_SECONDS)
    return read()


def _integrity(connection: sqlite3.Connection) -> tuple[list[str], str, bool]:
    """What integrity_check finds, which also holds indexes against their tables; else why not, and if pages were read.

    An application may index by a collation of its own, which nobody else has: then the quick check must do, which
    compares nothing.
    """
    unchecked, standing_in = "", set[str]()
    while True:
        try:
            return _complaints(connection, "quick_check" if unchecked else "integrity_check"), unchecked, True
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & PRIMARY_CODE
            if code in _DAMAGED:
                return [_words(error)], "", True
            if code != sqlite3.SQLITE_ERROR:
                raise
            unchecked = unchecked or _words(error)
            missing = _COLLATION.search(str(error))
            if missing is None or missing[1] in standing_in:
                return [], unchecked, False
            standing_in.add(missing[1])
            connection.create_collation(missing[1], _bytewise)


def _bytewise(one: str, other: str) -> int:
    return (one > other) - (one < other)


def _complaints(connection: sqlite3.Connection, pragma: str) -> list[str]:
    lines = [" ".join(str(row[0]).split()) for row in connection.execute(f"PRAGMA {pragma}({MOST_ERRORS})")]
    return [] if lines == ["ok"] else [line[:SHOWN_CHARACTERS] for line in lines]


def _violations(connection: sqlite3.Connection) -> int | None:
    """How many rows break a foreign key, which SQLite allows where nobody asks it to look; None where it cannot say."""
    with suppress(sqlite3.OperationalError):
        found = connection.execute("PRAGMA foreign_key_check")
        return sum(1 for _ in zip(found, range(MOST_VIOLATIONS), strict=False))
    return None


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """How many rows each table has; a virtual one has none of its own."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    for (name,) in connection.execute(named).fetchall():
        quoted = '"' + name.replace('"', '""') + '"'
        yield name, connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0]  # noqa: S608 - a table's own name


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:SHOWN_CHARACTERS] or type(error).__name__


def _told(error: Exception) -> dict[str, str]:
    if isinstance(error, Fault):
        return error.told
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY_CODE
        trouble, hint = _TROUBLES.get(code, ("tool", ""))
        return {"trouble": trouble, "why": _words(error), "hint": hint}
    if isinstance(error, PermissionError):
        return {"trouble": "privilege", "why": _words(error), "hint": _TROUBLES[sqlite3.SQLITE_PERM][1]}
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return {"trouble": "missing" if missing else "unreachable", "why": _words(error), "hint": "check `path`"}


def main(words: list[str]) -> int:
    """Do one thing, and tell; 1 when it went wrong."""
    try:
        if words[0] == "copy":
            found = copy(Path(words[1]), Path(words[2]), float(words[3]))
        else:
            found = check(Path(words[1]), words[2])
    except (Fault, sqlite3.Error, OSError) as error:
        found = {"fault": _told(error)}
    sys.stdout.write(json.dumps(found) + "\n")
    return int("fault" in found)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
