"""Which kept backups are to be read through again, and since when: disks forget. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from backup.keeping.reading import is_decided
from backup.plan import Plan
from toban.backups import BackupRecord, Status

DIGESTS: Final = "sha256"  # the check that every byte is read for
AS_ONE: Final = frozenset({"files"})
"""Engines that read their own repository as one: the newest backup stands for all that lie in it."""


def unread(
    records: Sequence[BackupRecord], plan: Plan, now: float, tried: Mapping[str, float] | None = None
) -> tuple[BackupRecord, ...]:
    """Those that nobody has read for so long as is configured, the longest first; what was tried in vain comes last."""
    late = [record for record in readable(records, plan) if overdue_seconds(record, plan, now) > 0]
    return tuple(sorted(late, key=lambda record: max(last_read(record), (tried or {}).get(record.id, 0.0))))


def readable(records: Iterable[BackupRecord], plan: Plan) -> tuple[BackupRecord, ...]:
    """Those that are to be read again and again, unless their job wants none read. They come newest first."""
    unwanted = {job.name for job in plan.jobs if not job.verify}
    found: list[BackupRecord] = []
    seen: set[tuple[str, str]] = set()
    for record in records:
        told = record.manifest
        if record.status not in (Status.OK, Status.DAMAGED) or not told.engine or told.name in unwanted:
            continue
        if told.engine in AS_ONE and (told.target, told.engine) in seen:
            continue
        seen.add((told.target, told.engine))
        found.append(record)
    return tuple(found)


def last_read(record: BackupRecord) -> float:
    """When it was last read through, whatever was found; one that never was counts from when it was made.

    Of a sealed one whose key is not here nothing can be told but that every byte is the one that was written.
    """
    found = record.marks.verification
    if found is None:
        return record.manifest.finished_at
    wholly = any(check.name == DIGESTS and check.ok for check in found.checks)
    return found.at if wholly or is_decided(found) else record.manifest.finished_at


def overdue_seconds(record: BackupRecord, plan: Plan, now: float) -> float:
    """How long ago it should have been read again; 0 where it need not be yet."""
    return max(0.0, now - last_read(record) - plan.settings.reading.every)
