"""What a look at the repository comes to, as collections on the way of every value."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from backup.keeping.happenings import Happening, Kind
from backup.keeping.ledger import Ledger
from backup.keeping.telling import Known, told, told_of_repository
from backup.metrics import COLLECTOR, TARGET
from backup.plan import Plan
from daemon.backups.looking import Seen
from daemon.backups.streams import Streams
from toban.backups import BackupRecord, Status, WalStanding
from toban.events import Event, EventKind
from toban.outcomes import Failure, Reason
from toban.samples import Batch, Collection

KINDS: Final = {
    Kind.FAILED: EventKind.BACKUP_FAILED,
    Kind.DAMAGED: EventKind.BACKUP_DAMAGED,
    Kind.UNUSUAL: EventKind.BACKUP_UNUSUAL,
}
Events = Sequence[tuple[str, Event]]


def event_of(happening: Happening, at: float) -> Event:
    """What happened, for the messages of an alert and for `toban events`."""
    return Event(kind=KINDS[happening.kind], subject=happening.subject, after=happening.sentence, at=at)


def collections_of(  # noqa: PLR0913 - all that is known, by name
    plan: Plan,
    seen: Seen,
    *,
    now: float,
    zone: tzinfo,
    standings: Mapping[str, WalStanding],
    streams: Streams | None,
    ledger: Ledger | None,
    damaged_wal: Mapping[str, int],
    full_in_seconds: float | None,
    events: Events,
    took_seconds: float,
) -> Iterator[Collection]:
    """One for each target that has jobs, and one for the repository."""
    running = frozenset(record.manifest.name for record in seen.records if record.status is Status.RUNNING)
    since = {job.name: ledger.known_since(job.name) for job in plan.jobs} if ledger is not None else {}
    good = {job.name: ledger.good_since(job.name) for job in plan.jobs} if ledger is not None else {}
    for target in plan.targets:
        known = Known(
            plan=plan,
            target=target,
            now=now,
            zone=zone,
            records=[record for record in seen.records if record.manifest.target == target],
            drills=[drill for drill in seen.drills if drill.target == target],
            wal=standings.get(target),
            wal_damaged=damaged_wal.get(target),
            receiving=streams.receiving(target) if streams is not None else None,
            running=running,
            known_since=since,
            good_since={name: at for name, at in good.items() if at is not None},
        )
        yield _collection(target, told(known), events, took_seconds)
    repository = told_of_repository(now, up=True, room=seen.room, full_in_seconds=full_in_seconds)
    yield _collection(TARGET, repository, events, took_seconds)


def oldest_good(records: Sequence[BackupRecord]) -> dict[str, float]:
    """When the oldest good backup of each job was finished; records come newest first."""
    return {one.manifest.name: one.manifest.finished_at for one in records if one.status is Status.OK}


def unseen(plan: Plan, why: str, events: Events, now: float) -> Iterator[Collection]:
    """What can be told while the repository cannot be looked at: that, and what happened."""
    failure = Failure(reason=Reason.UNEXPECTED, detail=f"the repository: {why}")
    for target in plan.targets:
        yield Collection(
            target=target,
            collector=COLLECTOR,
            taken_at=now,
            duration_seconds=0.0,
            rows=tuple(event for about, event in events if about == target),
            failure=failure,
        )
    yield _collection(TARGET, told_of_repository(now, up=False, room=None, full_in_seconds=None), (), 0.0)


def _collection(target: str, batch: Batch, events: Events, took_seconds: float) -> Collection:
    return Collection(
        target=target,
        collector=COLLECTOR,
        taken_at=batch.taken_at,
        duration_seconds=took_seconds,
        samples=batch.samples,
        rows=tuple(event for about, event in events if about == target),
    )
