"""Subscriptions between real servers: working, failing on a real conflict, switched off, unseen on old servers."""

from collections.abc import AsyncIterator

import pytest

from collectors.postgresql.replication import Replication, ReplicationSettings
from collectors.postgresql.server import Databases
from collectors.postgresql.subscriptions import (
    ENABLED,
    ERRORS,
    SILENCE,
    SUBSCRIPTION_CONFLICTS,
    SUBSCRIPTIONS,
    WORKING,
    add_subscriptions,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.collectors.postgresql.sources import Asking, a_server
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Batch, Findings

pytestmark = pytest.mark.integration
WHO = ("postgres", "feed")


@pytest.fixture(params=[15, 16, 18])
async def subscriber(request: pytest.FixtureRequest, new_cluster: NewCluster) -> AsyncIterator[Cluster]:
    """A server that subscribes to another one's table, and has copied it."""
    publisher = new_cluster(request.param, settings={"wal_level": "logical"})
    made = new_cluster(request.param, settings={"wal_retrieve_retry_interval": "100ms", "autovacuum": "off"})
    for cluster in (publisher, made):
        await cluster.execute("create table fed (n int primary key)")
    await publisher.execute("create publication p for table fed")
    await publisher.execute("insert into fed values (1)")
    await made.execute(f"create subscription feed connection '{publisher.dsn()}' publication p")
    await eventually(lambda: ask(made, "select count(*) = 1 from fed"))
    made.publisher = publisher  # type: ignore[attr-defined] # for the tests below alone
    yield made
    await made.execute("alter subscription feed disable")
    await made.execute("alter subscription feed set (slot_name = none)")
    await made.execute("drop subscription feed")


async def look(cluster: Cluster, clock: ManualClock, *, user: str = "postgres") -> Findings:
    """One look."""
    async with watching(cluster, clock, user=user) as server:
        return await Replication(server, ReplicationSettings(), clock).collect()


async def test_subscription_that_fails_is_seen(subscriber: Cluster, manual_clock: ManualClock) -> None:
    """It works and hears; a row that is there already stops it, each time is counted; disabled it is silent."""

    async def works() -> bool:
        findings = await look(subscriber, manual_clock)
        return value(findings, WORKING, *WHO) == 1 and value(findings, SILENCE, *WHO) is not None

    await eventually(works)
    findings = await look(subscriber, manual_clock)
    assert value(findings, ENABLED, *WHO) == 1
    assert [value(findings, ERRORS, *WHO, phase) for phase in ("apply", "sync")] == [0, 0]
    assert findings.gaps == ()

    await subscriber.execute("insert into fed values (2)")
    await subscriber.publisher.execute("insert into fed values (2)")  # type: ignore[attr-defined] # set by the fixture

    async def failed() -> bool:
        return (value(await look(subscriber, manual_clock), ERRORS, *WHO, "apply") or 0) >= 1

    await eventually(failed)
    conflicts = series(await look(subscriber, manual_clock), SUBSCRIPTION_CONFLICTS)
    if subscriber.major >= 18:
        assert conflicts[*WHO, "insert_exists"] >= 1
        assert conflicts[*WHO, "delete_missing"] == 0
    else:
        assert conflicts == {}

    await subscriber.execute("alter subscription feed disable")

    async def stopped() -> bool:
        told = await look(subscriber, manual_clock)
        return [value(told, metric, *WHO) for metric in (ENABLED, WORKING, SILENCE)] == [0, 0, None]

    await eventually(stopped)


async def test_subscription_is_seen_without_privilege(subscriber: Cluster, manual_clock: ManualClock) -> None:
    """A plain role sees the same, but the way to the publisher, which nobody asks for."""
    await subscriber.execute("create role plain login")
    findings = await look(subscriber, manual_clock, user="plain")
    assert value(findings, ENABLED, *WHO) == 1
    assert value(findings, ERRORS, *WHO, "apply") == 0
    assert "ERROR" not in subscriber.log_text()
    await subscriber.execute("drop role plain")


async def test_subscription_of_a_primary_is_no_concern_of_its_standby(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """It stands in the standby's catalogue, and nobody works on it there: that is no failure."""
    primary = new_cluster(15)
    await primary.execute("create subscription feed connection 'host=x' publication p with (connect = false)")
    standby = standby_of(primary)
    assert await ask(standby, "select count(*) from pg_subscription") == 1
    assert series(await look(primary, manual_clock), WORKING) == {WHO: 0}
    assert series(await look(standby, manual_clock), WORKING) == {}


async def test_subscription_of_14_has_no_errors_and_says_why(subscriber: Cluster) -> None:
    """The oldest floor runs on any server: it does not know of errors, and a database left out is left out."""
    server = a_server(subscriber)
    rows = await server.fetch(Asking(SUBSCRIPTIONS.floors[140000]))
    await server.close()
    batch = Batch(0.0)
    (gap,) = add_subscriptions(batch, rows, Databases())
    assert (gap.what, gap.reason, gap.count) == ("errors of subscriptions", Reason.VERSION, 1)
    assert {sample.metric for sample in batch.samples} >= {ENABLED, WORKING}
    assert ERRORS not in {sample.metric for sample in batch.samples}
    empty = Batch(0.0)
    assert add_subscriptions(empty, rows, Databases(exclude=("postgres",))) == []
    assert empty.samples == ()
