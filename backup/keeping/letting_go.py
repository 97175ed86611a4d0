"""Letting go of a target's backups as retention says, and of the WAL that none of the rest needs."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from backup.keeping.tools import Letting
from backup.plan import Plan
from backup.pruning import Pruned, prune
from backup.retention import wal_needed_from
from backup.wal.keeping import Removal, removable, remove, sweep
from backup.wal.listing import look
from backup.wal.segments import lsn_number
from toban.backups import BackupRecord

if TYPE_CHECKING:
    from backup.repository.repository import Repository

logger = structlog.get_logger(__name__)


async def pruned(repository: "Repository", plan: Plan, target: str, *, zone: tzinfo, dry_run: bool) -> Pruned:
    """One target's retention, decided and done; what is being read stays. The target's turn is ours."""
    records = await asyncio.to_thread(repository.records, target=target)
    now, window = repository.around.clock.now(), plan.window(target)
    found = await prune(
        Letting(repository),
        records,
        keeps={job.name: job.keep for job in plan.jobs if job.target == target},
        now=now,
        zone=zone,
        window_seconds=window,
        archived={target} if plan.wal_job(target) is not None else (),
        dry_run=dry_run,
    )
    if not dry_run:
        gone = await let_go_of_wal(repository.wal_place(target), wal_from(records, found.kept, now, window), now)
        if gone.segments:
            logger.info("wal_removed", target=target, segments=len(gone.segments), why=gone.reason)
    return found


def together(found: Sequence[Pruned]) -> Pruned:
    """What was decided and done of several targets, as one."""
    return Pruned(
        decisions=tuple(decision for one in found for decision in one.decisions),
        removed=tuple(record for one in found for record in one.removed),
        failed={name: why for one in found for name, why in one.failed.items()},
    )


def wal_from(
    records: Iterable[BackupRecord], kept: Collection[str], now: float, window_seconds: float
) -> Mapping[int, int]:
    """The first position that is needed on each timeline."""
    return {timeline: lsn_number(lsn) for timeline, lsn in wal_needed_from(records, kept, now, window_seconds).items()}


async def let_go_of_wal(place: Path, needed: Mapping[int, int], now: float) -> Removal:
    """Remove what no kept backup needs, and what cut-off pushes left; in a thread."""
    return await asyncio.to_thread(_removed, place, needed, now)


def _removed(place: Path, needed: Mapping[int, int], now: float) -> Removal:
    if not place.is_dir():
        return Removal(segments=(), size_bytes=0, reason="there is none")
    sweep(place, now)
    removal = removable(look(place), needed)
    if removal.segments:
        remove(place, removal)
    return removal
