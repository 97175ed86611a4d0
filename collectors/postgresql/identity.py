"""Which server this is and since when it runs: the cheapest sign of life, and where a restart or a promotion shows.

What was seen is remembered, so that what happened while the daemon was down is told as well, once, when it is back.
"""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from collectors.postgresql.turnings import Sighting, happened, recalled
from toban.clock import Clock
from toban.memories import Memory
from toban.samples import Batch, Findings, Metric, Unit

STATIC = Metric(
    name="pg_static",
    help="Which PostgreSQL this is; always 1",
    labels=("version", "short_version"),
    compatible=True,
)
STARTED = Metric(
    name="pg_postmaster_start_time_seconds",
    help="When the server was started, in seconds since the epoch",
    unit=Unit.SECONDS,
    compatible=True,
    kept=True,
)


class Identity(Collector[PostgresServer, CollectorSettings]):
    """The server's version, start and side; a change of them is an event."""

    name = "identity"
    purpose = "Which version answers, and whether it was restarted or promoted since you last looked."
    kind = Kind.POSTGRESQL
    metrics = (STATIC, STARTED)
    settings_model = CollectorSettings
    query = Query("identity")

    def __init__(self, source: PostgresServer, settings: CollectorSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._seen: Sighting | None = None

    async def collect(self) -> Findings:
        """Ask once."""
        (row,) = await self.source.fetch(self.query)
        remembers = await self.recollect(self._take)  # else nothing is compared
        # Nothing is awaited from here on: a turn that is cancelled has told and remembered nothing.
        batch = Batch(self.clock.now())
        batch.add(STATIC, 1, row["version"], short_version(row["version_num"]))
        batch.add(STARTED, row["started_at"])
        sighting = Sighting(
            release=row["release"],
            version_num=row["version_num"],
            started_at=row["started_at"],
            standby=row["standby"],
            timeline=row["timeline"],
        )
        return Findings(samples=batch.samples, rows=self._told(sighting) if remembers else ())

    def _told(self, sighting: Sighting) -> tuple[object, ...]:
        """What has happened, and what is to be remembered from now on."""
        before, self._seen = self._seen, sighting
        if sighting == before:
            return ()
        events = () if before is None else happened(before, sighting, self.clock.now())
        return (*events, Memory(name=self.title, body=sighting.body))

    def _take(self, body: str | None) -> None:
        self._seen = recalled(body)


def short_version(version_num: int) -> str:
    """150014 as `15.14.0`: three places, as postgres_exporter writes it."""
    return f"{version_num // 10000}.{version_num % 10000}.0"
