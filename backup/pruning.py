"""Doing what retention decided, in a repository or in a copy of it: what builds on others goes before them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol

import structlog

from backup.errors import BackupError
from backup.retention import Decision, decide, removal_order
from backup.settings import Keep
from toban.backups import BackupRecord, Trouble
from toban.errors import TobanError

logger = structlog.get_logger(__name__)


class Place(Protocol):
    """Where backups lie: the repository, or a copy."""

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was decided and done. `failed` is by id, and says why."""

    decisions: tuple[Decision, ...]
    removed: tuple[BackupRecord, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def freed_bytes(self) -> int:
        """What those took that are gone."""
        return sum(record.manifest.size_bytes for record in self.removed)

    @property
    def kept(self) -> frozenset[str]:
        """The ids of those that are there still."""
        gone = {record.id for record in self.removed}
        return frozenset(decision.record.id for decision in self.decisions if decision.record.id not in gone)


async def prune(  # noqa: PLR0913 - what a decision takes, and whether to act on it
    place: Place,
    records: Collection[BackupRecord],
    *,
    keeps: Mapping[str, Keep],
    now: float,
    zone: tzinfo,
    window_seconds: float,
    archived: Collection[str] | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Decide on every backup, and unless this is only to be told, remove those that may go.

    The attempts that failed among the records hold up the rest: for a copy, give the repository's as well.
    """
    decisions = decide(records, keeps=keeps, now=now, zone=zone, window_seconds=window_seconds, archived=archived)
    return Pruned(decisions=decisions) if dry_run else await let_go(place, decisions)


async def let_go(place: Place, decisions: Collection[Decision]) -> Pruned:
    """Remove those that may go; one that cannot be removed stays, and what it builds on with it."""
    reasons = {decision.record.id: decision.reason for decision in decisions}
    removed: list[BackupRecord] = []
    failed: dict[str, str] = {}
    held: set[str | None] = set()
    for record in removal_order(decisions):
        try:
            if record.id in held:
                why = "another one builds on it, and is there still"
                raise BackupError(record.id, why, trouble=Trouble.BUSY)
            await place.remove(record, reasons[record.id])
        except TobanError as error:
            logger.warning("backup_not_removed", backup=record.id, why=error.why)
            failed[record.id] = error.line.removeprefix("toban: ")
            held.add(record.manifest.parent)
        else:
            removed.append(record)
    return Pruned(decisions=tuple(decisions), removed=tuple(removed), failed=failed)
