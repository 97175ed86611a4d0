"""Where a restored server gets its WAL from: by `toban wal fetch` where its account can, else from a folder within.

The repository is closed to everybody but us. Whether the server's account can fetch from it is found by fetching.
"""

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.children import Command
from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.programs import Account, becoming
from backup.repository.turns import finished
from backup.restore.contract import Aim, Wanted
from backup.restore.recovery import Course, staged
from backup.wal.command import restore_command
from backup.wal.fetching import fetch
from backup.wal.manner import Manner, known_manner
from backup.wal.segments import SEGMENT_BYTES, history_name, lsn_number, segment_name, segment_number, stored
from toban.backups import BackupRecord, Progress, Trouble

FOLDER: Final = "toban-wal"
PROBE: Final = "probe"
PROBE_SECONDS: Final = 60.0
NOTHING: Final = "exit 1"  # a restore_command that has nothing: PostgreSQL insists on one
MODE: Final = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How it gets its WAL."""

    restore_command: str
    staged: int = 0  # segments laid out

    @property
    def way(self) -> str:
        """For people and for records."""
        if self.staged:
            return "staged"
        return "none" if self.restore_command == NOTHING else "fetched"


async def feed(
    course: Course,
    wanted: Wanted,
    stage: Path,
    home: Path,
    *,
    owner: Account | None,
    around: Surroundings,
    tell: Tell,
) -> Feed:
    """Find the way, or lay the WAL out in the data directory that is being filled."""
    place = wanted.wal_place
    whole, half = ((), None) if place is None else await asyncio.to_thread(_wanted, course, wanted.record, place)
    if place is None or not (whole or half):
        return Feed(restore_command=NOTHING)
    command = restore_command(
        place.parent.parent, place.parent.name, identity=wanted.identity, partial=True, accept_gap=wanted.accept_gap
    )
    if whole and await _works(command, whole[0], stage, owner, around):
        return Feed(restore_command=command)
    manner = await asyncio.to_thread(known_manner, str(place))
    manner.identity = str(wanted.identity) if wanted.identity is not None else manner.identity
    names = (*whole, half) if half is not None else whole
    count = await _lay_out(names, course.timeline, place, stage / FOLDER, manner, tell)
    return Feed(restore_command=staged(str(home / FOLDER)), staged=count)


async def must_carry_on(
    course: Course, record: BackupRecord, place: Path | None, stage: Path, around: Surroundings
) -> None:
    """Refuse where the WAL that is kept begins behind the backup's last segment, and that one does not lead over to it.

    The backup holds a copy of its last segment. When the server began another one right behind it, nothing else was
    written there; else a recovery would end in it, without a word. What is kept of that segment goes before the copy.
    """
    told = record.manifest
    size = int(told.detail.get("segment_bytes", SEGMENT_BYTES))
    name = _last_segment(record)
    if not course.segments or segment_number(course.segments[0], size) <= segment_number(name, size):
        return
    if place is not None and await asyncio.to_thread(_ending, record, place) is not None:
        return
    program = around.programs.postgresql("pg_waldump", major=int(told.server_version.partition(".")[0]))
    words = (str(program), "--rmgr=XLOG", f"--start={told.stop_lsn}", f"--path={stage / 'pg_wal'}", name, name)
    output = await around.children.run(
        Command(words=words, good=frozenset({0, 1})),
        within_seconds=PROBE_SECONDS,  # it complains of the empty rest
    )
    if "SWITCH" not in output.text:
        why = f"segment {name} is missing, in which this backup ends, and its own copy does not lead on"
        raise BackupError(f"restore of {record.id}", why, "restore to the backup's own end", trouble=Trouble.MISSING)


def _wanted(course: Course, record: BackupRecord, place: Path) -> tuple[tuple[str, ...], str | None]:
    """The segments that are kept, and the one that was still being received. It blocks.

    That in which the backup ends is one of them: behind the end something may stand that the backup's copy has not.
    """
    ending = None if course.moment.aim is Aim.BACKUP else _ending(record, place)
    first = () if ending is None else (ending,)
    return tuple(dict.fromkeys((*first, *course.segments))), course.partial


def _last_segment(record: BackupRecord) -> str:
    """The one in which a backup ends."""
    told = record.manifest
    size = int(told.detail.get("segment_bytes", SEGMENT_BYTES))
    return segment_name(told.timeline or 1, max(lsn_number(told.stop_lsn or "0/0") - 1, 0) // size, size)


def _ending(record: BackupRecord, place: Path) -> str | None:
    """The same, where it is kept whole. It blocks."""
    name = _last_segment(record)
    return name if stored(place, name) is not None else None


async def _works(command: str, segment: str, stage: Path, owner: Account | None, around: Surroundings) -> bool:
    """Whether the server's account can fetch a segment that is there."""
    folder = stage.parent / PROBE
    await asyncio.to_thread(_make, folder, stage.parent, owner)
    told = command.replace("%f", segment).replace("%p", PROBE).replace("%%", "%")
    try:
        output = await around.children.run(
            Command(words=(*becoming(owner), "/bin/sh", "-c", told)), within_seconds=PROBE_SECONDS, cwd=folder
        )
    except BackupError:
        return False
    found = folder / PROBE
    there = output.ok and found.exists() and found.stat().st_size > 0
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return there


def _make(folder: Path, home: Path, owner: Account | None) -> None:
    folder.mkdir(mode=MODE)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
        home.chmod(0o711)  # what is in there is closed itself


async def _lay_out(names: Sequence[str], timeline: int, place: Path, into: Path, manner: Manner, tell: Tell) -> int:
    """Segments and histories in the clear; how many segments."""
    await asyncio.to_thread(into.mkdir, mode=MODE)
    for done, name in enumerate(names):
        tell(Progress(phase="wal", what=name, done_bytes=done, total_bytes=len(names)))
        fetching = asyncio.to_thread(fetch, name, into / name, place, manner, partial=True, accept_gap=True)
        if not await finished(fetching):
            raise BackupError(f"{place}/{name}", "has gone while it was read", trouble=Trouble.MISSING)
    for history in sorted({int(name[:8], 16) for name in names} | {timeline}):
        if history > 1:
            named = history_name(history)
            await finished(asyncio.to_thread(fetch, named, into / named, place, manner))
    return len(names)
