"""A watched server around a throw-away cluster, and short ways to ask what a collector brought back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from collectors.postgresql.server import Databases, PostgresServer
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server
from toban.clock import Clock
from toban.samples import Findings, Metric


@asynccontextmanager
async def watching(
    cluster: Cluster,
    clock: Clock,
    *,
    database: str = "postgres",
    user: str = "postgres",
    databases: Databases | None = None,
) -> AsyncIterator[PostgresServer]:
    """The way into a cluster, closed in the end."""
    server = a_server(cluster, database, user=user, clock=clock, databases=databases)
    try:
        yield server
    finally:
        await server.close()


def value(findings: Findings, metric: Metric, *labels: str) -> float | None:
    """The value of one series; None when there is none. Two samples of one series are an error."""
    found = [s.value for s in findings.samples if s.metric is metric and s.labels == labels]
    assert len(found) <= 1, f"{metric.name}{labels} was measured {len(found)} times"
    return found[0] if found else None


def series(findings: Findings, metric: Metric) -> dict[tuple[str, ...], float]:
    """All series of a metric."""
    found = [s for s in findings.samples if s.metric is metric]
    assert len({s.labels for s in found}) == len(found), f"a series of {metric.name} was measured twice"
    return {s.labels: s.value for s in found}


def names(findings: Findings) -> set[str]:
    """The names of all metrics that have a sample."""
    return {s.metric.name for s in findings.samples}


async def ask(cluster: Cluster, sql: str, database: str = "postgres") -> Any:  # noqa: ANN401 - whatever SQL gives
    """One value, asked as the superuser."""
    connection = await cluster.connect(database)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
