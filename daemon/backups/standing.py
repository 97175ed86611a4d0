"""How backups stand, in one sentence for the overall health: pure."""

from collections.abc import Iterator, Mapping, Sequence

from backup.keeping.telling import NO_FAILURE
from backup.plan import Plan
from toban.backups import BackupRecord, Method, Status
from toban.status import Component, Health

NAME = "backups"


def component_of(
    plan: Plan, records: Sequence[BackupRecord] | None, trouble: str, streams: Mapping[str, str]
) -> Component:
    """The worst there is to say. `records` come newest first; None before the repository was looked at."""
    if trouble:
        return Component(name=NAME, state=Health.CRITICAL, reason=trouble)
    if records is None:
        return Component(name=NAME, state=Health.UNKNOWN, reason="not looked at yet")
    damaged = [record for record in records if record.status is Status.DAMAGED]
    if damaged:
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        return Component(name=NAME, state=Health.CRITICAL, reason=f"{damaged[0].id} {damaged[0].reason}{more}")
    wrong = [*_failing(plan, records), *(f"WAL of {target}: {why}" for target, why in streams.items())]
    return Component(name=NAME, state=Health.WARNING if wrong else Health.OK, reason="; ".join(wrong))


def _failing(plan: Plan, records: Sequence[BackupRecord]) -> Iterator[str]:
    """The jobs whose newest attempt that counts failed, with its reason."""
    for job in plan.jobs:
        if job.method is Method.WAL:
            continue
        ours = (
            record
            for record in records
            if record.manifest.name == job.name
            and record.status is not Status.RUNNING
            and not (record.status is Status.FAILED and record.trouble in NO_FAILURE)
        )
        newest = next(ours, None)
        if newest is not None and newest.status is Status.FAILED:
            yield f"{job.name} failed: {newest.reason}"
