"""The collector of indexes on a real server, what it found, and what is advised of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from collectors.postgresql.index_advice import index_advice
from collectors.postgresql.indexes import (
    Indexes,
    IndexesSettings,
)
from collectors.postgresql.server import Databases
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, watching
from tests.waiting import eventually
from toban.advice import Advice
from toban.indexes import Fault, IndexFinding
from toban.samples import Findings


@asynccontextmanager
async def measured(
    cluster: Cluster, clock: ManualClock, *names: str, user: str = "postgres", top: int = 50, enough: float = 0.0
) -> AsyncIterator[Indexes]:
    """The collector on some databases; use is trusted from the first second on."""
    settings = IndexesSettings(top=top, pause=0.0, unused_after=enough)
    async with watching(cluster, clock, user=user, databases=Databases(include=names)) as server:
        yield Indexes(server, settings, clock)


async def found(cluster: Cluster, clock: ManualClock, database: str, **options: Any) -> Findings:  # noqa: ANN401 - as above
    """One turn at one database."""
    async with measured(cluster, clock, database, **options) as collector:
        return await collector.collect()


def advised(findings: Findings) -> list[Advice]:
    """What a person is told of one target."""
    return index_advice([("main", row) for row in findings.rows])


def told(advice: list[Advice]) -> set[tuple[str, str, str]]:
    """Action, subject and reason of each."""
    return {(a.action, a.subject, a.reason) for a in advice}


def faults(findings: Findings) -> dict[tuple[Fault, str], str]:
    """Each finding with the index that makes it one."""
    rows = [row for row in findings.rows if isinstance(row, IndexFinding)]
    return {(row.fault, row.index.name): row.other.name if row.other else "" for row in rows}


async def run_all(cluster: Cluster, database: str, advice: list[Advice]) -> None:
    """What was advised, as it stands."""
    for one in advice:
        if one.run:
            await cluster.execute(one.run, database)


async def index_names(cluster: Cluster, database: str) -> set[str]:
    """The indexes that there are."""
    sql = "SELECT array_agg(indexname) FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    return set(await ask(cluster, sql, database) or ())


async def scanned(cluster: Cluster, database: str, sql: str) -> str:
    """The index that the server counts a scan of, once it has told."""

    async def used() -> str | None:
        await cluster.execute(f"SET enable_seqscan = off; {sql}", database)
        name = "SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0"
        return await ask(cluster, name, database)  # type: ignore[no-any-return] # whatever SQL gives

    return str(await eventually(used))
