"""A server whose statements are counted from nothing, and short ways to ask for a statement's part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from collectors.postgresql.statements import Statements, StatementsSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, watching
from tests.conftest import NewCluster
from toban.samples import Findings
from toban.statements import StatementUse

PRELOADED = {"shared_preload_libraries": "pg_stat_statements"}
RowT = TypeVar("RowT")


async def a_counting_cluster(new_cluster: NewCluster) -> Cluster:
    """A server with the extension in its first database, and nothing counted yet."""
    cluster = new_cluster(15, settings=PRELOADED)
    await cluster.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE t (a int, b text)")
    await cluster.execute("SELECT pg_stat_statements_reset()")
    return cluster


@asynccontextmanager
async def measured(
    cluster: Cluster, clock: ManualClock, *, top: int = 50, user: str = "postgres"
) -> AsyncIterator[Statements]:
    """The collector on a cluster."""
    async with watching(cluster, clock, user=user) as server:
        yield Statements(server, StatementsSettings(top=top), clock)


def rows_of(kind: type[RowT], findings: Findings) -> list[RowT]:
    """The rows of one kind."""
    return [row for row in findings.rows if isinstance(row, kind)]


def use_of(findings: Findings, queryid: str) -> StatementUse | None:
    """A statement's use in the interval."""
    found = [row for row in rows_of(StatementUse, findings) if row.queryid == queryid]
    assert len(found) <= 1
    return found[0] if found else None


def different(count: int, kind: int = 0) -> str:
    """So many statements of which no two are the same to the server."""
    return ";".join(f"SELECT {', '.join(['a'] * n + ['b'] * kind)} FROM t" for n in range(1, count + 1))


async def queryid_of(cluster: Cluster, pattern: str) -> str:
    """The number that the server gave a statement."""
    sql = f"SELECT queryid::text FROM pg_stat_statements WHERE query LIKE '{pattern}'"
    return str(await ask(cluster, sql))
