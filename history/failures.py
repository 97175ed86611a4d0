"""What went wrong with the state file, in the words of `toban.outcomes`."""

import errno
import sqlite3
from pathlib import Path

from history.migration import ForeignStateError, NewerStateError
from toban.outcomes import Failure, Reason

_BY_CODE = {
    sqlite3.SQLITE_FULL: (Reason.FULL, "free some space; Toban goes on by itself"),
    sqlite3.SQLITE_READONLY: (Reason.PRIVILEGE, "let the user that runs Toban write there"),
    sqlite3.SQLITE_PERM: (Reason.PRIVILEGE, "let the user that runs Toban write there"),
    sqlite3.SQLITE_BUSY: (Reason.LOCKED, "another process holds the file; two daemons need two state files"),
    sqlite3.SQLITE_LOCKED: (Reason.LOCKED, "another process holds the file; two daemons need two state files"),
    sqlite3.SQLITE_CANTOPEN: (Reason.UNREACHABLE, "see that the directory exists and may be written"),
    sqlite3.SQLITE_CORRUPT: (Reason.CORRUPT, "the file is set aside and a new one begun"),
    sqlite3.SQLITE_NOTADB: (Reason.CORRUPT, "the file is set aside and a new one begun"),
}
_BY_ERRNO = {
    errno.ENOSPC: (Reason.FULL, "free some space; Toban goes on by itself"),
    errno.EDQUOT: (Reason.FULL, "raise the quota; Toban goes on by itself"),
    errno.EROFS: (Reason.PRIVILEGE, "mount it for writing, or name another place under `state`"),
}
PRIMARY_CODE = 0xFF  # the low byte of an extended result code
OURS = (sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError)
"""What no disk does: something was to be written that cannot be, and could not be the next time either."""


class VanishedStateError(Exception):
    """The file was removed or replaced while it was open."""


_BY_TYPE: tuple[tuple[type[BaseException], Reason, str, str], ...] = (
    (NewerStateError, Reason.VERSION, "", "run the newer Toban, or give this one another state file"),
    (ForeignStateError, Reason.UNSUPPORTED, "a database of another program", "give Toban a state file of its own"),
    (VanishedStateError, Reason.NOT_FOUND, "removed or replaced while open; a new one is begun", ""),
    (PermissionError, Reason.PRIVILEGE, "", "let the user that runs Toban write there"),
    (TimeoutError, Reason.UNANSWERED, "the disk did not answer in time", "look at the disk"),
)


def explain(error: BaseException, path: Path) -> Failure:
    """The typed reason why nothing can be written to (or read from) the state file."""
    detail = f"{path}: {' '.join(str(error).split()) or type(error).__name__}"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & PRIMARY_CODE
        reason, hint = _BY_CODE.get(code, (Reason.UNREACHABLE, "look at the disk, and at the system's log"))
        return Failure(reason=reason, detail=detail, hint=hint)
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        reason, hint = _BY_ERRNO[error.errno]
        return Failure(reason=reason, detail=detail, hint=hint)
    for types, reason, said, hint in _BY_TYPE:
        if isinstance(error, types):
            return Failure(reason=reason, detail=f"{path}: {said}" if said else detail, hint=hint)
    return Failure(reason=Reason.UNREACHABLE, detail=detail, hint="see that the directory exists and may be written")


def is_corrupt(error: BaseException) -> bool:
    """Whether the file itself is beyond use."""
    return explain(error, Path()).reason is Reason.CORRUPT
