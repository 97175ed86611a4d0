"""What the metrics say of backups: pure, out of records, drills, the WAL's standing and the room there is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final

from backup import metrics
from backup.anomalies import GROWN, SHRUNK, standings
from backup.forecast import forecast, paces_of
from backup.keeping.overdue import overdue_seconds
from backup.keeping.rereading import overdue_seconds as overdue_for_reading
from backup.keeping.rereading import readable
from backup.plan import Plan
from backup.settings import Drill, Job
from backup.space import Room
from toban.backups import BackupRecord, Belief, DrillRecord, GapKind, Method, Status, Trouble, WalStanding
from toban.samples import Batch

HARDLY_SECONDS: Final = 900.0  # of a window: what is shorter says more of when we looked than of what is kept
NO_FAILURE: Final = frozenset({Trouble.CANCELLED, Trouble.BUSY})
"""What is no failure of the job: it was stopped, or somebody else was at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one target's backups at one moment. Records and drills come newest first."""

    plan: Plan
    target: str
    now: float
    records: Sequence[BackupRecord] = ()
    drills: Sequence[DrillRecord] = ()
    wal: WalStanding | None = None
    wal_damaged: int | None = None  # as many segments; None before they were read through
    receiving: bool | None = None
    running: frozenset[str] = frozenset()
    known_since: Mapping[str, float] = field(default_factory=dict)
    zone: tzinfo = UTC
    good_since: Mapping[str, float] = field(default_factory=dict)  # those of then may be let go by now


def told(known: Known) -> Batch:
    """One target's values."""
    batch = Batch(known.now)
    for job in known.plan.jobs:
        if job.target == known.target and job.method is not Method.WAL:
            _job(batch, job, known)
    _drills(batch, known)
    if known.wal is not None:
        _wal(batch, known.wal, known)
    if known.wal_damaged is not None:
        batch.add(metrics.WAL_DAMAGED, known.wal_damaged)
    if known.receiving is not None:
        batch.add(metrics.WAL_RECEIVING, float(known.receiving))
    return batch


def told_of_repository(now: float, *, up: bool, room: Room | None, full_in_seconds: float | None) -> Batch:
    """The repository's own values."""
    batch = Batch(now)
    batch.add(metrics.REPOSITORY_UP, float(up))
    if room is not None:
        batch.add(metrics.REPOSITORY_FREE, room.free_bytes)
        batch.add(metrics.REPOSITORY_FREE_RATIO, room.free_ratio)
    batch.add(metrics.REPOSITORY_FULL, full_in_seconds)
    return batch


def failures_since_success(records: Iterable[BackupRecord]) -> int:
    """How often a job has failed since its last good backup; records come newest first."""
    count = 0
    for record in records:
        if record.status is Status.OK:
            break
        count += record.status is Status.FAILED and record.trouble not in NO_FAILURE
    return count


# --- inside -----------------------------------------------------------------------------------------------------------


def _job(batch: Batch, job: Job, known: Known) -> None:
    ours = [record for record in known.records if record.manifest.name == job.name]
    good = [record for record in ours if record.status is Status.OK]
    since = known.known_since.get(job.name, known.now)
    if good:
        newest = good[0].manifest
        batch.add(metrics.LAST_SUCCESS, newest.finished_at, job.name)
        batch.add(metrics.DURATION, newest.duration_seconds, job.name)
        batch.add(metrics.SIZE, newest.size_bytes, job.name)
        since = newest.finished_at
    if good or job.schedule is not None:  # of one that runs on demand only, nobody expects anything
        batch.add(metrics.AGE, max(0.0, known.now - since), job.name)
    if job.schedule is not None:
        late = known.now - since - (job.jitter or 0.0)
        batch.add(metrics.OVERDUE, overdue_seconds(job.schedule, late, known.now, known.zone), job.name)
    batch.add(metrics.FAILURES, failures_since_success(ours), job.name)
    batch.add(metrics.DAMAGED, sum(record.status is Status.DAMAGED for record in ours), job.name)
    batch.add(metrics.RUNNING, float(job.name in known.running), job.name)
    _belief(batch, job, good, known)
    _unusual(batch, job, good)
    _copies(batch, job, good, known)


def _belief(batch: Batch, job: Job, good: Sequence[BackupRecord], known: Known) -> None:
    proved = [record.proved_at for record in good if record.proved_at is not None]
    if proved:
        batch.add(metrics.PROVED, max(proved), job.name)
    if not good:
        return
    if known.plan.proof.schedule is not None and job in known.plan.provable:
        oldest = good[-1].manifest.finished_at
        since = max(proved, default=min(oldest, known.good_since.get(job.name, oldest)))
        batch.add(metrics.UNPROVED, max(0.0, known.now - since), job.name)
    if job.verify:
        waiting = good[0].belief is Belief.STORED
        seconds = max(0.0, known.now - good[0].manifest.finished_at) if waiting else 0.0
        batch.add(metrics.UNVERIFIED, seconds, job.name)
    if job.verify and known.plan.settings.reading.schedule is not None:
        due = [record for record in readable(known.records, known.plan) if record.manifest.name == job.name]
        unread = max((overdue_for_reading(record, known.plan, known.now) for record in due), default=0.0)
        batch.add(metrics.UNREAD, unread, job.name)


def _unusual(batch: Batch, job: Job, good: Sequence[BackupRecord]) -> None:
    """What is off without mattering is kept within what is usual: a dump of three rows takes its time as it likes."""
    if not good:
        return
    for standing in standings(good[0], good[1:]):
        ratio = standing.ratio if standing.why else min(max(standing.ratio, SHRUNK), GROWN)
        batch.add(metrics.ANOMALY, ratio, job.name, standing.of)


def _copies(batch: Batch, job: Job, good: Sequence[BackupRecord], known: Known) -> None:
    """By the newest alone: older ones may have been let go there by the copy's own retention."""
    for copy in known.plan.copies(job):
        behind = 0.0
        for record in good:
            if copy.name in record.marks.copies:
                break
            behind = max(0.0, known.now - record.manifest.finished_at)
        batch.add(metrics.COPY_BEHIND, behind, job.name, copy.name)


def _drills(batch: Batch, known: Known) -> None:
    """The last one that brought it back says what was lost and how long it took; goals are there from the start."""
    names = {drill.name: drill for drill in known.plan.drills}
    ours = [name for name, drill in names.items() if _target_of(known.plan, drill.backup) == known.target]
    if not ours:
        return
    for name in ours:
        newest = next((drill for drill in known.drills if drill.name == name), None)
        if newest is not None:
            batch.add(metrics.DRILL_FAILED, float(not newest.ok), name)
    last = next((drill for drill in known.drills if drill.name in ours and drill.recovered_to is not None), None)
    goals = names[last.name if last is not None else ours[0]]
    batch.add(metrics.RPO_GOAL, goals.rpo_goal)
    batch.add(metrics.RTO_GOAL, goals.rto_goal)
    if last is None:
        return
    batch.add(metrics.RPO, last.rpo_seconds)
    batch.add(metrics.RTO, last.rto_seconds)
    batch.add(metrics.RPO_USED, _share(last.rpo_seconds, goals.rpo_goal))
    batch.add(metrics.RTO_USED, _share(last.rto_seconds, goals.rto_goal))
    batch.add(metrics.RTO_FORECAST, _forecast(goals, known))


def _forecast(drill: Drill, known: Known) -> float | None:
    """By all restores of the kind there were, for the newest backup's size."""
    ours = [one for one in known.records if one.manifest.name == drill.backup and one.status is Status.OK]
    if not ours:
        return None
    told = ours[0].manifest
    paces = paces_of(known.drills, known.records, target=known.target, method=told.method)
    return forecast(paces, told.source_bytes).seconds


def _target_of(plan: Plan, job: str) -> str:
    return next((one.target for one in plan.jobs if one.name == job), "")


def _share(seconds: float | None, goal: float) -> float | None:
    return None if seconds is None else seconds / goal


def _wal(batch: Batch, wal: WalStanding, known: Known) -> None:
    job = known.plan.wal_job(known.target)
    lost = sum(gap.segments for gap in wal.gaps if gap.kind is GapKind.LOST)
    batch.add(metrics.WAL_LAG, wal.lag_seconds)
    batch.add(metrics.WAL_LOST, lost)
    late_after = job.late_after if job is not None else 0.0
    if wal.lag_seconds is not None:
        batch.add(metrics.WAL_LATE, wal.lag_seconds if wal.lag_seconds > late_after else 0.0)
    batch.add(metrics.WAL_SIZE, wal.size_bytes)
    if wal.map_whole:  # else nobody knows: that is told by `toban wal status`, and is no shrinking
        _window(batch, wal, known)


def _window(batch: Batch, wal: WalStanding, known: Known) -> None:
    window = window_seconds(wal, known.now)
    goal = window_goal(known)
    batch.add(metrics.WAL_WINDOW, window)
    batch.add(metrics.WAL_WINDOW_GOAL, goal)
    if goal >= HARDLY_SECONDS:
        batch.add(metrics.WAL_WINDOW_KEPT, min(1.0, window / goal))


def window_seconds(wal: WalStanding, now: float) -> float:
    """How far back every moment up to the newest that can be reached is reachable: spans that touch are one."""
    ends = [(span.from_at, max(span.to_at, span.unbroken_to or 0.0)) for span in wal.reachable]
    spans = sorted(ends, key=lambda span: span[1], reverse=True)
    if not spans:
        return 0.0
    begins = spans[0][0]
    for from_at, to_at in spans[1:]:
        if to_at >= begins:
            begins = min(begins, from_at)
    return max(0.0, now - begins)


def window_goal(known: Known) -> float:
    """What is promised; less while the oldest base backup with WAL behind it is younger than that."""
    job = known.plan.wal_job(known.target)
    since = known.known_since.get(job.name, 0.0) if job is not None else 0.0
    ends = [
        record.manifest.finished_at
        for record in known.records
        if record.manifest.method is Method.BASE and record.status in (Status.OK, Status.DAMAGED)
    ]
    oldest = min((end for end in ends if end >= since), default=None)
    return 0.0 if oldest is None else max(0.0, min(known.plan.window(known.target), known.now - oldest))
