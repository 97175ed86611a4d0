"""How near the sequences of every database are to their end: theirs, or that of the column they feed."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.postgresql.server import Visit
from collectors.postgresql.sql import Query
from collectors.postgresql.tour import Stay, Touring, TourSettings, skipped_metric
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Metric, Sample, Unit

USED = Metric(
    name="toban_pg_sequence_used_ratio",
    help="Share of the values that the sequence and the column it feeds can hold; those furthest on",
    unit=Unit.RATIO,
    labels=("datname", "schemaname", "sequencename"),
    kept=True,
)
SKIPPED = skipped_metric("sequences", "Sequences")
_SEQUENCES = Query("sequences")
_LOCKED = "somebody changes them, so that they were not read"
_HIDDEN = "the role may not read these sequences"
_GRANT = "`toban setup postgresql DSN --apply` lets the role read them; run it again when new sequences were made"


class SequencesSettings(TourSettings):
    """How often, and how many: those furthest on in all of the server."""

    every: Duration = 3600.0
    top: int = Field(default=20, ge=1, le=1000)


class Sequences(Touring[SequencesSettings]):
    """The sequences that will end first. Those that cycle never do."""

    name = "sequences"
    purpose = "Which sequence will stop an application's inserts on the day it runs out."
    metrics = (USED, SKIPPED)
    settings_model = SequencesSettings
    skipped = SKIPPED

    def shown(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """The furthest on of the whole server: one database may have them all."""
        told = list(samples)
        used = sorted((s for s in told if s.metric is USED), key=lambda s: (-s.value, s.labels))
        yield from used[: self.settings.top]
        yield from (s for s in told if s.metric is not USED)

    async def measure(self, database: str, visit: Visit) -> Stay:
        """One question."""
        batch = Batch(self.clock.now())
        rows = await visit.fetch(_SEQUENCES, self.settings.top)
        for row in rows:
            if row["measured"]:
                batch.add(USED, row["used_ratio"], database, row["schemaname"], row["sequencename"])
        return Stay(samples=_with_skipped(batch, database, rows), gaps=tuple(_gaps(database, rows)))


def _with_skipped(batch: Batch, database: str, rows: list[Any]) -> tuple[Sample, ...]:
    for row in rows[:1]:
        batch.add(SKIPPED, row["locked"] or None, database, Reason.LOCKED)
        batch.add(SKIPPED, row["hidden"] or None, database, Reason.PRIVILEGE)
    return batch.samples


def _gaps(database: str, rows: list[Any]) -> Iterator[Gap]:
    what = f"sequences in {database}"
    for row in rows[:1]:
        if row["locked"]:
            yield Gap(what=what, reason=Reason.LOCKED, count=row["locked"], detail=_LOCKED)
        if row["hidden"]:
            yield Gap(what=what, reason=Reason.PRIVILEGE, count=row["hidden"], detail=_HIDDEN, hint=_GRANT)
