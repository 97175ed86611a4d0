"""Ways into the real servers of the tests, and what a collector found, made easy to ask for."""

from collectors.postgresql.server import Databases, PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from tests.clusters import Cluster
from toban.clock import Clock, SystemClock
from toban.outcomes import Failure
from toban.samples import Findings, Metric
from toban.secrets import Dsn

CENSUS = "select count(*) from pg_stat_activity where application_name = 'toban'"


class Asking(Query):
    """A query of the test's own."""

    def __init__(self, sql: str) -> None:
        super().__init__("asking")
        self.sql = sql

    @property
    def floors(self) -> dict[int, str]:
        """The same for every version."""
        return {140000: self.sql}


ONE = Asking("select 1 as one")
SLEEP = Asking("select pg_sleep(60)")


def a_server(
    cluster: Cluster,
    database: str = "postgres",
    *,
    user: str = "postgres",
    clock: Clock | None = None,
    databases: Databases | None = None,
    **limits: float,
) -> PostgresServer:
    """A way into a cluster; nothing is connected yet."""
    dsn = Dsn(cluster.dsn(database, user))
    return PostgresServer(dsn, clock or SystemClock(), ServerLimits(**limits), databases)


def found(findings: Findings, metric: Metric, **labels: str) -> list[float]:
    """The values of a metric's series that carry these labels."""
    return [
        sample.value
        for sample in findings.samples
        if sample.metric is metric and labels.items() <= sample.labelled.items()
    ]


def the_value(findings: Findings, metric: Metric, **labels: str) -> float:
    """The value of the one series of a metric that carries these labels."""
    (value,) = found(findings, metric, **labels)
    return value


async def failure_of(server: PostgresServer, query: Query = ONE) -> Failure:
    """Why a question is not answered."""
    try:
        await server.fetch(query)
    except Exception as error:  # noqa: BLE001 - the subject of the test
        return server.explain(error)
    raise AssertionError("it was answered")


async def census(cluster: Cluster) -> int:
    """Toban's connections, as the server counts them."""
    connection = await cluster.connect()
    try:
        return int(await connection.fetchval(CENSUS))
    finally:
        await connection.close()
