"""Which server this is and since when it runs: the cheapest sign of life, and where a restart shows."""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
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
    """The server's version and start."""

    name = "identity"
    kind = Kind.POSTGRESQL
    metrics = (STATIC, STARTED)
    settings_model = CollectorSettings
    query = Query("identity")

    async def collect(self) -> Findings:
        """Ask once."""
        (row,) = await self.source.fetch(self.query)
        batch = Batch(self.clock.now())
        batch.add(STATIC, 1, row["version"], short_version(row["version_num"]))
        batch.add(STARTED, row["started_at"])
        return Findings(samples=batch.samples)


def short_version(version_num: int) -> str:
    """150014 as `15.14.0`: three places, as postgres_exporter writes it."""
    return f"{version_num // 10000}.{version_num % 10000}.0"
