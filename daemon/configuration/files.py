"""The configuration's files: which ones there are, and their bytes, read with a bound."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.configuration.lending import UnreadableError

SIZE_MAX_BYTES = 1024 * 1024
VARIABLE = "TOBAN_CONFIG"
ENDINGS = (".yaml", ".yml")
CANDIDATES = (Path("config.yaml"), Path("/etc/toban/config.yaml"))


def read_bounded(path: Path) -> bytes:
    """The content of a regular file of at most a megabyte; a pipe or a device would hold up the start for ever."""
    try:
        with open(path, "rb", opener=_unwaiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableError("is no regular file")
            content = file.read(SIZE_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableError(why_unreadable(error)) from None
    if len(content) > SIZE_MAX_BYTES:
        raise UnreadableError("is larger than 1 MB")
    return content


def _unwaiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def why_unreadable(error: Exception) -> str:
    """An operating system's refusal as the end of a sentence that begins with the file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, IsADirectoryError):
        return "is a directory"
    if isinstance(error, PermissionError):
        return "may not be read by this user"
    if isinstance(error, OSError):
        return f"cannot be read: {os.strerror(error.errno or 0)}"
    return "is no possible file name"


def chosen(path: Path | None, environment: Mapping[str, str], candidates: tuple[Path, ...] = CANDIDATES) -> Path:
    """Which file it is: the one asked for, else the environment's, else the first usual one that is there."""
    if path is not None:
        return path
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    return next((candidate for candidate in candidates if os.path.lexists(candidate)), candidates[0])


def fragments(path: Path) -> tuple[Path, ...]:
    """The files of `config.d/` beside it, by name."""
    folder = path.parent / "config.d"
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - iterdir opens lazily, the error would come later
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise UnreadableError(f"{folder} {why_unreadable(error)}") from None
    return tuple(folder / name for name in names if name.endswith(ENDINGS) and not name.startswith("."))
