"""A log file that may fail: missing directory, full disk, a rename by logrotate. It says so, and never raises."""

import errno
import os
from contextlib import suppress
from pathlib import Path

# A pipe without a reader would make the opening wait; O_NONBLOCK makes it an error. It changes nothing for a file.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o640  # the group may read: adm, or a log shipper's


class LogFile:
    """Lines appended by one system call each, so that a line is in the file when the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._torn = False

    def write(self, line: str) -> OSError | None:
        """Append one line. What went wrong is returned; the next line tries anew."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        try:
            if self._descriptor is None:
                self._descriptor = _opened(self.path)
            whole = (b"\n" if self._torn else b"") + data  # the disk ran full within the line before
            written = os.write(self._descriptor, whole)
        except OSError as error:
            return error
        self._torn = written < len(whole)
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if self._torn else None

    def reopen(self) -> None:
        """Let go of the file; the next line opens it by its name again."""
        if self._descriptor is not None:
            with suppress(OSError):  # a network's disk may say only now that it took nothing
                os.close(self._descriptor)
        self._descriptor = None
        self._torn = False


def _opened(path: Path) -> int:
    """The file that is there, as it is; else one of our making, whatever the umask: the unit's would be too strict."""
    try:
        made = os.open(path, _FLAGS | os.O_EXCL, _MODE)
    except FileExistsError:
        return os.open(path, _FLAGS, _MODE)
    os.fchmod(made, _MODE)
    return made
