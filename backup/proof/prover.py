"""A backup proved: restored into a scratch place, looked at, thrown away; and a verdict, whatever came in between."""

import asyncio
import errno
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import asyncpg
import structlog

from backup.engines.contract import Contents, Surroundings, Tell
from backup.errors import BackupError
from backup.proof.bases import prove_base
from backup.proof.contract import Method as Proven
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.dumps import prove_dump
from backup.proof.files import prove_files
from backup.proof.mariadb import prove_mariadb, prove_mariadb_base
from backup.proof.place import grounds, housed, scratch_place, sweep
from backup.proof.room import bounded
from backup.proof.sqlite import prove_sqlite
from backup.proof.verdict import judged, obstacle, worst
from backup.restore.contract import Restorer, Wanted
from backup.restore.restoring import Shelves
from backup.settings import Proof
from toban.backups import BackupRecord, Check, Manifest, Method, RestoreProof, Trouble
from toban.secrets import Secret

METHODS: Final[Mapping[tuple[str, Method], Proven]] = {
    ("postgresql", Method.DUMP): prove_dump,
    ("postgresql", Method.BASE): prove_base,
    ("sqlite", Method.DUMP): prove_sqlite,
    ("mariadb", Method.DUMP): prove_mariadb,
    ("mariadb", Method.BASE): prove_mariadb_base,
    ("host", Method.FILES): prove_files,
}
# Until the server answered: what a restore in earnest would take as well.
RESTORING: Final = ("start", "restore", "recovery")
UNFORESEEN: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
logger = structlog.get_logger(__name__)


def can_be_proved(told: Manifest) -> bool:
    """Whether there is a way to prove a backup like this."""
    return _method(told) is not None


async def prove(proving: Proving) -> RestoreProof:
    """Prove it. What fails on the way is part of the proof; only being cancelled is raised."""
    told = proving.wanted.record.manifest
    course = Course(proving.around.clock, proving.tell)
    method = _method(told)
    if method is None:
        course.found(Check(name="proof", ok=None, detail=f"nobody knows how to prove {told.kind} {told.method}"))
        return _came_to(proving, course)
    workspaces = grounds(proving.settings.workspace, proving.around.workspace)
    for left in await sweep(*workspaces):
        logger.info("scratch_place_swept", place=left)
    try:
        async with (
            scratch_place(*workspaces) as place,
            bounded(place, within_seconds=proving.settings.timeout, floor=proving.floor_bytes, look=proving.look),
        ):
            here = replace(proving, around=await asyncio.to_thread(housed, proving.around, place))
            await method(here, place, course)
    except BackupError as error:
        await _failed(proving, course, error)
    except UNFORESEEN as error:
        await _failed(proving, course, of_this_machine(error))
    return _came_to(proving, course)


async def prove_record(
    record: BackupRecord,
    *,
    shelves: Shelves,
    restorer_of: Callable[[Manifest], Restorer],
    settings: Proof,
    around: Surroundings,
    tell: Tell,
    secret: Secret | None = None,
) -> RestoreProof:
    """Prove a backup of a repository: with those that it builds on, and its files in the clear."""
    try:
        async with scratch_place(*grounds(settings.workspace, around.workspace)) as clear:
            lineage = await asyncio.to_thread(lineage_of, shelves, record, clear)

            async def reread() -> tuple[Check, ...]:
                found = [await shelves.check_files(one, tell) for one, _ in lineage]
                return tuple(check for checks in found for check in checks)

            wal_place = await asyncio.to_thread(wal_place_of, shelves, record)
            wanted = Wanted(record=record, lineage=lineage, wal_place=wal_place, secret=secret, durable=False)
            proving = Proving(
                wanted=wanted,
                restorer=restorer_of(record.manifest),
                settings=settings,
                around=around,
                tell=tell,
                reread=reread,
            )
            return await prove(proving)
    except BackupError as error:
        course = Course(around.clock, tell)
        course.found(obstacle("restore", error))
        return _proof(record, course, around.clock.now(), 0)


def lineage_of(shelves: Shelves, record: BackupRecord, clear: Path) -> tuple[tuple[BackupRecord, Contents], ...]:
    """The backup with those that it builds on, each with its files in the clear, in folders below `clear`."""
    found = []
    for place, one in enumerate(shelves.lineage(record)):
        own = clear / str(place)
        own.mkdir(mode=0o700)
        found.append((one, shelves.contents(one, own)))
    return tuple(found)


def wal_place_of(shelves: Shelves, record: BackupRecord) -> Path | None:
    """Where the WAL of its target lies; None where none is archived."""
    place = shelves.wal_place(record.manifest.target)
    return place if place.is_dir() else None


def _method(told: Manifest) -> Proven | None:
    return METHODS.get((told.kind, told.method))


def of_this_machine(error: Exception) -> BackupError:
    """What nobody has foreseen in the place where it is done, or between us and the server there."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = " ".join(str(error).split()) or type(error).__name__
    return BackupError("scratch place", why, trouble=Trouble.SPACE if full else Trouble.TOOL)


async def _failed(proving: Proving, course: Course, error: BackupError) -> None:
    """A step failed: what that means, and where it may be the backup's own fault, a look at its files."""
    check = obstacle(course.now or "proof", error)
    course.found(check)
    if check.ok is None and error.trouble in (Trouble.TOOL, Trouble.INTERNAL) and proving.reread is not None:
        with course.phase("reread"):
            try:
                async with asyncio.timeout(proving.settings.timeout):
                    found = await proving.reread()
            except BackupError as unread:
                course.found(obstacle("files", unread))
                return
            except TimeoutError:
                course.found(Check(name="files", ok=None, detail="not read again within the time for a proof"))
                return
        bad = [one for one in found if one.ok is False]
        ok = worst(one.ok for one in found)
        said = "; ".join(one.detail or one.name for one in bad[:3]) or "each is what was written"
        course.found(Check(name="files", ok=ok, detail=said))


def _came_to(proving: Proving, course: Course) -> RestoreProof:
    read_bytes = sum(record.manifest.size_bytes for record, _ in proving.wanted.lineage)
    return _proof(proving.wanted.record, course, proving.around.clock.now(), read_bytes)


def _proof(record: BackupRecord, course: Course, now: float, read_bytes: int) -> RestoreProof:
    verdict, reason = judged(course.findings)
    restoring = [course.phases[name] for name in RESTORING if name in course.phases]
    done = {check.name: check.ok for check in course.checks}
    served = done.get("restore") is True and done.get("recovery", True) is True
    return RestoreProof(
        backup=record.id,
        proved_at=now,
        verdict=verdict,
        reason=reason,
        checks=course.checks,
        phases=course.phases,
        read_bytes=read_bytes,
        rto_seconds=sum(restoring) if served else None,
    )
