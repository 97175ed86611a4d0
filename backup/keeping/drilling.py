"""What a drill is done with: which backup, to which moment, and what is known of the restores before it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

import asyncpg

from backup.errors import BackupError
from backup.forecast import Pace, paces_of
from backup.keeping.moments import moment_of
from backup.restore.contract import Moment
from backup.settings import Beat, Drill
from backup.wal.heartbeat import beaten, newest
from backup.way import Way
from toban.backups import BackupRecord, Manifest, Status, Trouble
from toban.secrets import Dsn

if TYPE_CHECKING:
    from backup.repository.repository import Repository


def drilled(wanted: Drill, records: Sequence[BackupRecord], now: float, zone: tzinfo) -> tuple[BackupRecord, Moment]:
    """The newest good backup of the job, records coming newest first; for a time the newest that ended before it."""
    moment = moment_of(wanted.to, now, zone)
    for one in records:
        if one.manifest.name != wanted.backup or one.status is not Status.OK:
            continue
        if moment.at is None or one.manifest.finished_at <= moment.at:
            return one, moment
    why = f"{wanted.backup} has no good backup" + ("" if moment.at is None else " from before that moment")
    raise BackupError(f"drill {wanted.name}", why, f"toban backup run {wanted.backup}", trouble=Trouble.MISSING)


def paces_before(repository: "Repository", records: Sequence[BackupRecord], told: Manifest) -> tuple[Pace, ...]:
    """The restores of its kind that were done; it reads a disk."""
    return paces_of(repository.drills(told.target), records, target=told.target, method=told.method)


def beat_of(heart: Beat, dsn: Dsn | None) -> Callable[[Way], Awaitable[float | None]] | None:
    """How the newest heartbeat in a restored server is found, where there is one. `dsn` leads to the target."""
    if not heart.enabled or dsn is None:
        return None
    database = beaten(heart, dsn)

    async def beat(way: Way) -> float | None:
        try:
            async with way.connected(database) as connection:
                return await newest(connection, heart.schema_)
        except BackupError as error:
            if isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):  # there was no such database yet
                return None
            raise

    return beat
