"""How the WAL of each target stands: by what lies in the repository, and by what the servers say that are known."""

import asyncio
from pathlib import Path

from backup.errors import BackupError
from backup.plan import Plan
from backup.settings import Job
from backup.wal.chain import LATE_AFTER_SECONDS, Position
from backup.wal.manner import Manner, known_manner
from backup.wal.moments import Moments
from backup.wal.position import ask
from backup.way import Way
from daemon.answers.backups_opening import Shelf
from daemon.backups.streams import manner_of, slot_of
from daemon.configuration.backing import plan_of
from toban.backups import Method, WalStanding
from toban.errors import NotFoundError

STREAM = "stream"


async def standings(shelf: Shelf, target: str | None) -> tuple[WalStanding, ...]:
    """One for each target with WAL, or for that one alone. A server that does not answer is a note."""
    plan = plan_of(shelf.configuration) if shelf.configuration is not None else Plan()
    jobs = {job.target: job for job in plan.jobs if job.method is Method.WAL}
    there = await asyncio.to_thread(_places, shelf.repository.root)
    chosen = [one for one in dict.fromkeys((*jobs, *there)) if target in (None, one)]
    if not chosen:
        hint = f"there is: {', '.join(there)}" if there else "docs/wal.md says how it is kept"
        raise NotFoundError("WAL", f"none is kept of {target or 'any target'}", hint)
    return tuple([await _standing(shelf, plan, one, jobs.get(one)) for one in chosen])


async def _standing(shelf: Shelf, plan: Plan, target: str, job: Job | None) -> WalStanding:
    place = shelf.repository.wal_place(target)
    position, notes = await _position(shelf, plan, job) if job is not None else (None, ())
    moments = Moments(target, place, _manner(shelf, plan, place, job), shelf.around)
    records = await asyncio.to_thread(shelf.repository.records, target=target, method=Method.BASE)
    late_after = job.late_after if job is not None else LATE_AFTER_SECONDS
    return await moments.standing(records, position=position, late_after_seconds=late_after, notes=notes)


async def _position(shelf: Shelf, plan: Plan, job: Job) -> tuple[Position | None, tuple[str, ...]]:
    """Where the server stands, and why that is not known."""
    origin = plan.origin(job)
    if origin.dsn is None:
        return None, ()
    folder = shelf.around.workspace / f"way-{job.name}"
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    try:
        slot = slot_of(job) if job.mode == STREAM else None
        return (await ask(Way(origin.dsn, folder), slot)).position, ()
    except BackupError as error:
        return None, (error.reason,)


def _manner(shelf: Shelf, plan: Plan, place: Path, job: Job | None) -> Manner:
    """How it can be read: as configured, else as whoever archived there left it; the identity is the caller's."""
    manner = manner_of(job, plan) if job is not None else known_manner(str(place))
    encryption = shelf.settings.encryption
    if encryption is not None and encryption.identity is not None:
        manner.identity = str(encryption.identity)
    return manner


def _places(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("[!.]*/wal") if path.is_dir())
