"""WAL read by pg_waldump: when its last transaction was committed, and whether its records are whole and in a row."""

import asyncio
import errno
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backup.children import Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.fetching import given
from backup.wal.manner import Manner
from backup.wal.place import disk_failure
from backup.wal.segments import LONG_HEADER, Named, header_of, stored
from toban.backups import Trouble

READ_SECONDS: Final = 120.0
_LAST_LINES: Final = "200"
_COMMIT: Final = re.compile(
    r"lsn: ([0-9A-F]+/[0-9A-F]+).*?COMMIT(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC"
)
_MOMENT: Final = "%Y-%m-%d %H:%M:%S.%f"


async def lay_out(names: Sequence[str], place: Path, manner: Manner, into: Path) -> None:
    """Files of PostgreSQL's in the clear, in one folder: linked where they are so already. Unfinished ones as well."""
    for name in names:
        try:
            await asyncio.to_thread(_lay_out, name, place, manner, into)
        except OSError as error:
            raise unreadable(error, place / name) from error


def unreadable(error: OSError, path: Path) -> BackupError:
    """Why a file cannot be read: a bad sector is damage to it, a disk that is away is not."""
    if error.errno == errno.EIO:
        return BackupError(str(path), f"cannot be read: {error.strerror}", trouble=Trouble.DAMAGED)
    return disk_failure(error, str(path))


def _lay_out(name: str, place: Path, manner: Manner, into: Path) -> None:
    target = into / name.removesuffix(".partial")
    for _ in range(2):  # it may be packed while we look: under the one name or the other it is there
        there = stored(place, name)
        if there is None:
            break
        if _linked(there, target, place) or given(there, str(target), str(place), manner):
            return
    raise BackupError(str(place / name), "is missing", trouble=Trouble.MISSING)


def _linked(there: Named, target: Path, place: Path) -> bool:
    """Link what is in the clear: it stays readable, though its name may go. Not over file systems."""
    if there.plain != there.name:
        return False
    try:
        target.hardlink_to(place / there.name)
    except OSError:
        return False
    return True


async def last_commit(segment: Path, around: Surroundings, *, start: str | None = None) -> tuple[float, str] | None:
    """When the last transaction in a segment in the clear was committed, and where; None where there is none."""
    words = [str(_program(segment, around)), "--rmgr=Transaction", f"--path={segment.parent}"]
    words += [f"--start={start}"] if start is not None else []
    dumping = Command(words=(*words, segment.name, segment.name), environment={"TZ": "UTC"}, good=frozenset({0, 1}))
    keeping = Command(words=("tail", "-n", _LAST_LINES))
    done = await around.children.run(dumping, keeping, within_seconds=READ_SECONDS)
    found = _COMMIT.findall(done.checked("pg_waldump").text)
    if not found:
        return None
    lsn, moment = found[-1]
    return datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC).timestamp(), lsn


async def trouble_of(folder: Path, first: str, last: str, around: Surroundings) -> str:
    """Read every record of segments that lie in the clear in a row; what is wrong with them, or nothing."""
    program = _program(folder / first, around)
    words = (str(program), "--quiet", f"--path={folder}", first, last)
    done = await around.children.run(Command(words=words), within_seconds=READ_SECONDS)
    return "" if done.ok else done.ended[0].why


def _program(segment: Path, around: Surroundings) -> Path:
    """The pg_waldump of the major version that wrote the segment: another one does not read it."""
    with segment.open("rb") as file:
        header = header_of(file.read(LONG_HEADER.size))
    if header is None or header.major is None:
        raise BackupError(segment.name, "is no WAL of a PostgreSQL that is known here", trouble=Trouble.DAMAGED)
    return around.programs.postgresql("pg_waldump", major=header.major)
