"""WAL read by pg_waldump: when its last transaction was committed, and whether its records are whole and in a row."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backup.children import Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.fetching import give
from backup.wal.manner import Manner
from backup.wal.segments import LONG_HEADER, header_of, stored
from toban.backups import Trouble

READ_SECONDS: Final = 120.0
_LAST_LINES: Final = "200"
_COMMIT: Final = re.compile(
    r"lsn: ([0-9A-F]+/[0-9A-F]+).*?COMMIT(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC"
)
_MOMENT: Final = "%Y-%m-%d %H:%M:%S.%f"


async def lay_out(names: Sequence[str], place: Path, manner: Manner, into: Path) -> None:
    """Files of PostgreSQL's in the clear, in one folder: a link where they are so already. Unfinished ones as well."""
    for name in names:
        await asyncio.to_thread(_lay_out, name, place, manner, into)


def _lay_out(name: str, place: Path, manner: Manner, into: Path) -> None:
    target = into / name.removesuffix(".partial")
    there = stored(place, name)
    if there is None:
        raise BackupError(str(place / name), "is missing", trouble=Trouble.MISSING)
    if there.plain == there.name:
        target.symlink_to(place / name)
    else:
        give(there, str(target), str(place), manner)


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
