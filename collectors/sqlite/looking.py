"""One thread's look at an SQLite file: a short connection that can only read, and what its errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from collectors.blocking import StuckError
from collectors.contract import AskedError
from toban.outcomes import Failure, Reason

BUSY_SECONDS = 0.1
STEPS_BETWEEN_QUESTIONS = 10_000  # of SQLite's virtual machine: some tenths of a millisecond

_OPERATOR = "let Toban's user read the file and enter its directory"
MEND = "restore it, or save what `.recover` of the sqlite3 shell finds"
_DISK = "the disk or network file system below it does not answer"

# First match wins: the narrow before the wide.
_MEANINGS: tuple[tuple[type[BaseException], Reason, str], ...] = (
    (StuckError, Reason.STUCK, _DISK),
    (TimeoutError, Reason.UNANSWERED, _DISK),
    (FileNotFoundError, Reason.NOT_FOUND, "check `path`"),
    (NotADirectoryError, Reason.NOT_FOUND, "check `path`"),
    (PermissionError, Reason.PRIVILEGE, _OPERATOR),
    (OSError, Reason.UNREACHABLE, ""),
)

# SQLite's primary result codes.
_CODES = {
    sqlite3.SQLITE_BUSY: (Reason.LOCKED, ""),
    sqlite3.SQLITE_LOCKED: (Reason.LOCKED, ""),
    sqlite3.SQLITE_PERM: (Reason.PRIVILEGE, _OPERATOR),
    sqlite3.SQLITE_CANTOPEN: (Reason.PRIVILEGE, _OPERATOR),
    sqlite3.SQLITE_READONLY: (Reason.LOCKED, "its last writer was cut short; it mends when the application opens it"),
    sqlite3.SQLITE_INTERRUPT: (Reason.TIMEOUT, ""),
    sqlite3.SQLITE_NOTADB: (Reason.CORRUPT, "is `path` right? An encrypted file cannot be told from a foreign one"),
    sqlite3.SQLITE_CORRUPT: (Reason.CORRUPT, MEND),
    sqlite3.SQLITE_IOERR: (Reason.UNREACHABLE, "look for errors of the disk in the kernel's log"),
}
PRIMARY_CODE = 0xFF  # the rest of a code tells the cause more closely


class UnusableError(Exception):
    """The path holds something that cannot be read as an SQLite database, or not now."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Look:
    """One thread's look at the file. Whoever no longer waits for it ends it, from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._ended = False

    @cached_property
    def path(self) -> Path:
        """Where the file really is: SQLite keeps its other files beside that, not beside a link."""
        return self._path.resolve(strict=True)

    @contextmanager
    def connection(self, *parameters: str) -> Iterator[sqlite3.Connection]:
        """A short connection. Opening it reads nothing and locks nothing: only its first query does."""
        connection = sqlite3.connect(
            uri_of(self.path, *parameters), uri=True, isolation_level=None, timeout=BUSY_SECONDS
        )
        connection.set_progress_handler(lambda: self._ended, STEPS_BETWEEN_QUESTIONS)
        self._connection = connection
        try:
            yield connection
        finally:
            self._connection = None
            connection.close()

    def end(self) -> None:
        """Interrupt it: a long step at once, anything later at its first steps."""
        self._ended = True
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # it closed in this moment
                connection.interrupt()


def uri_of(path: Path, *parameters: str) -> str:
    """The file as a URI that can only be read, whatever characters its path has."""
    return f"file://{quote(bytes(path))}?{'&'.join(('mode=ro', 'cache=private', *parameters))}"


def explain(error: BaseException) -> Failure:
    """The typed reason for an exception of SQLite or the file system."""
    if isinstance(error, UnusableError | AskedError):
        return error.failure
    detail = " ".join(str(error).split())[:300] or type(error).__name__
    reason, hint = _meaning(error)
    if reason is Reason.INTERNAL:
        detail = f"{type(error).__name__}: {detail}"
    return Failure(reason=reason, detail=detail, hint=hint)


def _meaning(error: BaseException) -> tuple[Reason, str]:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY_CODE
        return _CODES.get(code, (Reason.INTERNAL, ""))
    return next(((reason, hint) for kind, reason, hint in _MEANINGS if isinstance(error, kind)), (Reason.INTERNAL, ""))
