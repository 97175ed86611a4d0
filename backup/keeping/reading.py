"""Reading a backup through: every byte against its digest, then what the engine can tell without restoring."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backup.engines.contract import Contents, Engine, Looking, Surroundings, Tell
from backup.errors import BackupError
from backup.repository.listing import with_marks
from backup.repository.turns import finished
from toban.backups import BackupRecord, Check, Marks, Method, RestoreProof, Trouble, Verdict, Verification
from toban.secrets import Secret

if TYPE_CHECKING:
    from backup.repository.repository import Repository


Unwritten = Callable[[BackupError], None]
UNDECIDED = frozenset(
    {
        Trouble.PROGRAM,
        Trouble.SPACE,
        Trouble.CONFIGURATION,
        Trouble.TIMEOUT,
        Trouble.BUSY,
        Trouble.LOCKED,
        Trouble.PRIVILEGE,
        Trouble.UNREACHABLE,
        Trouble.CANCELLED,
        Trouble.INTERNAL,
    }
)
"""What keeps us from reading says nothing about what is written."""


async def verified(  # noqa: PLR0913 - what a reading takes, and who hears what could not be written
    record: BackupRecord,
    *,
    engine: Engine,
    repository: "Repository",
    around: Surroundings,
    tell: Tell,
    within_seconds: float,
    secret: Secret | None = None,
    unwritten: Unwritten | None = None,
) -> BackupRecord:
    """The backup with what was found written on it; what could not be told takes back nothing that was found before.

    Where it cannot be written down `unwritten` hears why, and the verdict is no other for that; without it that is
    an error.
    """
    begun = around.clock.monotonic()
    limit = asyncio.timeout(within_seconds)
    try:
        async with limit:
            checks = await _checks(record, engine, repository, around, tell, secret)
    except TimeoutError:
        if not limit.expired():
            raise
        checks = (Check(name="time", ok=None, detail=f"not read through within {within_seconds:.0f} s"),)
    found = Verification(at=around.clock.now(), checks=checks, seconds=around.clock.monotonic() - begun)

    def change(marks: Marks) -> Marks:
        known = marks.verification
        return replace(marks, verification=found if is_decided(found) or not is_decided(known) else known)

    marked = await written_down(record, change, repository, unwritten)
    return replace(marked, marks=replace(marked.marks, verification=found))


async def written_down(
    record: BackupRecord, change: Callable[[Marks], Marks], repository: "Repository", unwritten: Unwritten | None
) -> BackupRecord:
    """The backup with its marks changed: on the disk, or for whoever asked alone where nothing can be written."""
    try:
        return await repository.mark(record, change)
    except BackupError as error:
        if unwritten is None or error.trouble is Trouble.MISSING:
            raise
        unwritten(error)
        return with_marks(record, change(record.marks))


async def _checks(
    record: BackupRecord,
    engine: Engine,
    repository: "Repository",
    around: Surroundings,
    tell: Tell,
    secret: Secret | None,
) -> tuple[Check, ...]:
    checks = await repository.check_files(record, tell)
    if any(check.ok is False for check in checks):
        return checks
    try:
        async with workshop(around, "verify") as place:
            lineage = await lineage_of(repository, record, place)
            wal = await asyncio.to_thread(wal_place_of, repository, record)
            looking = Looking(
                record=record,
                contents=lineage[-1][1],
                lineage=lineage,
                around=around,
                tell=tell,
                workspace=place,
                wal_place=wal,
                secret=secret,
            )
            return (*checks, *await engine.verify(looking))
    except BackupError as error:
        return (*checks, Check(name=error.what, ok=None if error.trouble in UNDECIDED else False, detail=error.reason))


def is_decided(verification: Verification | None) -> bool:
    """Whether it says anything of the backup: that all was well, or what was not."""
    return verification is not None and (verification.ok or any(check.ok is False for check in verification.checks))


def believed(marks: Marks, proof: RestoreProof) -> Marks:
    """The marks with a proof that was made; one that decided nothing takes nothing back of one that did."""
    if proof.verdict is Verdict.INCONCLUSIVE:
        return replace(marks, inconclusive=proof)
    return replace(marks, proof=proof, inconclusive=None)


@asynccontextmanager
async def workshop(around: Surroundings, what: str) -> AsyncIterator[Path]:
    """A folder for one work, gone with it."""
    place = Path(await asyncio.to_thread(_made, around.workspace, what))
    try:
        yield place
    finally:
        await finished(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))


async def lineage_of(
    repository: "Repository", record: BackupRecord, place: Path
) -> tuple[tuple[BackupRecord, Contents], ...]:
    """The backup and all that it builds on, parents first, each with its files."""
    found = []
    for number, one in enumerate(await asyncio.to_thread(repository.lineage, record)):
        own = place / f"clear-{number}"
        own.mkdir(mode=0o700)
        found.append((one, repository.contents(one, own)))
    return tuple(found)


def wal_place_of(repository: "Repository", record: BackupRecord) -> Path | None:
    """Where the WAL lies that leads on from a base backup, if any is kept."""
    if record.manifest.method is not Method.BASE:
        return None
    place = repository.wal_place(record.manifest.target)
    return place if place.is_dir() else None


def _made(workspace: Path, what: str) -> str:
    workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix=f"{what}-", dir=workspace)
