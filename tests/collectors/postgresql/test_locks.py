import asyncio

import pytest

from collectors.postgresql.locks import COUNT, MODES, WAITING, Locks, LocksSettings
from collectors.postgresql.server import Databases
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server, found, the_value
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.samples import Findings

pytestmark = pytest.mark.integration


async def look(cluster: Cluster, databases: Databases | None = None) -> Findings:
    """One look at the locks."""
    server = a_server(cluster, databases=databases)
    findings = await Locks(server, LocksSettings(), SystemClock()).collect()
    await server.close()
    return findings


async def test_locks_of_every_mode_are_there_and_zero(postgres: Cluster, unique_database: str) -> None:
    """Where nobody holds a lock each mode counts zero, under the exporter's names."""
    findings = await look(postgres)
    assert len(MODES) == 9
    for mode in MODES:
        assert the_value(findings, COUNT, datname=unique_database, mode=mode) == 0
    assert the_value(findings, WAITING, datname=unique_database) == 0
    assert found(findings, COUNT, datname="template1") == []


async def test_locks_of_the_look_itself_are_left_out(new_cluster: NewCluster) -> None:
    """Looking takes locks on the catalogue; they are nobody's concern."""
    findings = await look(new_cluster())
    assert found(findings, COUNT, datname="postgres") == [0.0] * len(MODES)


async def test_locks_are_counted_by_mode(postgres: Cluster, unique_database: str) -> None:
    """A held lock is counted in its database and mode."""
    holder = await postgres.connect(unique_database)
    await holder.execute("create table held ()")
    await holder.execute("begin; lock table held in share row exclusive mode")
    findings = await look(postgres)
    assert the_value(findings, COUNT, datname=unique_database, mode="sharerowexclusivelock") == 1
    await holder.close()


async def test_locks_waited_for_are_counted(postgres: Cluster, unique_database: str) -> None:
    """Who waits for a table counts, and who waits for a row, that is for another's transaction, counts as well."""
    first, second, third = [await postgres.connect(unique_database) for _ in range(3)]
    await first.execute("create table rows (n int)")
    await first.execute("create table held ()")
    await first.execute("insert into rows values (1)")
    await first.execute("begin; update rows set n = 2; lock table held")
    waiting = [
        asyncio.create_task(second.execute("update rows set n = 3")),
        asyncio.create_task(third.execute("select * from held")),
    ]

    async def both() -> bool:
        return the_value(await look(postgres), WAITING, datname=unique_database) == 2

    await eventually(both)
    await first.execute("commit")
    await asyncio.gather(*waiting)
    assert the_value(await look(postgres), WAITING, datname=unique_database) == 0
    for connection in (first, second, third):
        await connection.close()


async def test_locks_are_those_of_the_databases_looked_at(postgres: Cluster, unique_database: str) -> None:
    """A database that the configuration leaves out is left out here too."""
    findings = await look(postgres, Databases(include=(unique_database,)))
    assert {sample.labels[0] for sample in findings.samples if sample.labels} == {unique_database}
