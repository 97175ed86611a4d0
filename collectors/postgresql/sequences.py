"""How near the sequences of every database are to their end: theirs, or that of the column they feed."""

from collections.abc import Iterator
from heapq import nlargest
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
AT_ONCE = 200  # of the 6,400 locks that a server of the usual settings has room for, shared by all its sessions
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
        """A few at a time: each stays locked until the question that reads it is answered."""
        batch = Batch(self.clock.now())
        furthest: list[tuple[float, str, str]] = []
        locked = hidden = after = 0
        while rows := await visit.fetch(_SEQUENCES, after, AT_ONCE):
            after = rows[-1]["oid"]
            locked += sum(row["held"] for row in rows)
            hidden += sum(bool(row["hidden"]) for row in rows)
            furthest = nlargest(self.settings.top, (*furthest, *_measured(rows)))
        for used_ratio, schema, sequence in furthest:
            batch.add(USED, used_ratio, database, schema, sequence)
        batch.add(SKIPPED, locked or None, database, Reason.LOCKED)
        batch.add(SKIPPED, hidden or None, database, Reason.PRIVILEGE)
        return Stay(samples=batch.samples, gaps=tuple(_gaps(database, locked, hidden)))


def _measured(rows: list[Any]) -> Iterator[tuple[float, str, str]]:
    for row in rows:
        if row["used_ratio"] is not None:
            yield row["used_ratio"], row["schemaname"], row["sequencename"]


def _gaps(database: str, locked: int, hidden: int) -> Iterator[Gap]:
    what = f"sequences in {database}"
    if locked:
        yield Gap(what=what, reason=Reason.LOCKED, count=locked, detail=_LOCKED)
    if hidden:
        yield Gap(what=what, reason=Reason.PRIVILEGE, count=hidden, detail=_HIDDEN, hint=_GRANT)
