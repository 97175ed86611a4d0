"""Rules about sessions and statements: each fires and clears on a real server.

Ages are the server's own, so what would take minutes fires here after a tenth of a second: such a test has the
threshold otherwise, and says so where it makes its rule.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import asyncpg
import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.activity import Activity, ActivitySettings
from collectors.postgresql.databases import DatabaseActivity
from collectors.postgresql.identity import Identity
from collectors.postgresql.locks import Locks, LocksSettings
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.settings import Settings, SettingsSettings
from tests.alerting.shipped.judging import Judging, Look, judging
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import watching
from tests.conftest import NewCluster
from tests.installations import run
from tests.waiting import eventually
from toban.alerts import Severity

pytestmark = pytest.mark.integration


class Guests:
    """Sessions of a test, gone with it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, cluster: Cluster, *statements: str, **options: Any) -> Any:  # noqa: ANN401 - asyncpg ships no types
        """A session that has run these."""
        guest = await cluster.connect(**options)
        self._stack.callback(guest.terminate)
        for statement in statements:
            await guest.execute(statement)
        return guest

    async def begin(self, cluster: Cluster, statement: str) -> Any:  # noqa: ANN401 - as above
        """A session that is at a statement which does not end by itself."""
        guest = await self.open(cluster)
        task = asyncio.create_task(guest.execute(statement))
        self._stack.push_async_callback(asyncio.wait, [task])
        self._stack.callback(task.cancel)
        return guest


@pytest.fixture
async def guests() -> AsyncIterator[Guests]:
    """Sessions of the test's own."""
    async with AsyncExitStack() as stack:
        yield Guests(stack)


@pytest.fixture
async def source(new_cluster: NewCluster, manual_clock: ManualClock) -> AsyncIterator[PostgresServer]:
    """The way into a server of the test's own; its `cluster` is beside it."""
    cluster = new_cluster(settings={"autovacuum": "off", "max_connections": "20", "deadlock_timeout": "100ms"})
    async with watching(cluster, manual_clock) as server:
        server.cluster = cluster  # type: ignore[attr-defined] # for the tests below alone
        yield server


@pytest.fixture
def cluster(source: PostgresServer) -> Cluster:
    """The server itself."""
    found: Cluster = source.cluster  # type: ignore[attr-defined] # set by the fixture above
    return found


def activity(source: PostgresServer) -> Activity:
    """The collector of sessions."""
    return Activity(source, ActivitySettings(), source.clock)


def databases(source: PostgresServer) -> DatabaseActivity:
    """The collector of databases."""
    return DatabaseActivity(source, CollectorSettings(), source.clock)


def looking(judge: Judging, collector: Any, before: Callable[[], Any] | None = None) -> Look:  # noqa: ANN401 - any of them
    """A look with this collector, after something that happens each time."""

    async def look() -> None:
        if before is not None:
            await before()
        await judge.look(collector)

    return look


async def gone(guest: Any, cluster: Cluster) -> None:  # noqa: ANN401 - asyncpg ships no types
    """End a session, and wait until the server knows."""
    pid = guest.get_server_pid()
    guest.terminate()
    await cluster.execute(f"select pg_terminate_backend({pid})")
    await eventually(lambda: cluster.psql(f"select count(*) from pg_stat_activity where pid = {pid}") == "0")


async def aged(guest: Any, cluster: Cluster) -> None:  # noqa: ANN401 - asyncpg ships no types
    """Wait until a session has been at the same thing for longer than a tenth of a second."""
    idle = (
        f"select clock_timestamp() - state_change > '150 ms' from pg_stat_activity where pid = {guest.get_server_pid()}"
    )
    await eventually(lambda: cluster.psql(idle) == "t")


async def test_connections_near_the_limit_fire_and_clear(
    source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """Of 17 places 15 are taken, Toban's own among them; then one."""
    judge = judging("connections", manual_clock)
    look = looking(judge, activity(source))
    await judge.stays_quiet(look)
    opened = [await guests.open(cluster) for _ in range(14)]
    alert = await judge.fires(look, Severity.WARNING)
    assert alert.threshold == "> 80%"
    for guest in opened:
        await gone(guest, cluster)
    await judge.clears(look)


async def test_connections_at_the_limit_are_critical(
    source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """All 17 places."""
    judge = judging("connections", manual_clock)
    look = looking(judge, activity(source))
    await look()
    opened = [await guests.open(cluster) for _ in range(16)]
    await judge.fires(look, Severity.CRITICAL)
    for guest in opened:
        await gone(guest, cluster)
    await judge.clears(look)


@pytest.mark.parametrize("name", ["idle_in_transaction", "long_transaction", "query_running"])
async def test_age_of_what_a_session_does_fires_and_clears(
    name: str, source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """An idle transaction, an open one, a statement: all older than a tenth of a second, instead of minutes."""
    tenth = {"warning": "> 100ms"}
    judge = {
        "idle_in_transaction": judging("idle_in_transaction", manual_clock, **tenth),
        "long_transaction": judging("long_transaction", manual_clock, **tenth),
        "query_running": judging("query_running", manual_clock, **tenth),
    }[name]
    look = looking(judge, activity(source))
    await judge.stays_quiet(look)
    if name == "query_running":
        guest = await guests.begin(cluster, "select pg_sleep(600)")
    else:
        guest = await guests.open(cluster, "begin", "select 1")
    await aged(guest, cluster)
    await judge.fires(look, Severity.WARNING)
    await gone(guest, cluster)
    await judge.clears(look)


async def test_oldest_xmin_fires_and_clears(
    source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """A snapshot that is twenty transactions old, instead of ten million."""
    judge = judging("oldest_xmin", manual_clock, warning="> 15")
    look = looking(judge, activity(source))
    await judge.stays_quiet(look)
    guest = await guests.open(cluster, "begin isolation level repeatable read", "select 1")
    for _ in range(20):
        await cluster.execute("select txid_current()")
    await judge.fires(look, Severity.WARNING)
    await gone(guest, cluster)
    await judge.clears(look)


async def test_blocked_sessions_fire_and_clear(
    source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """A session waits for another's lock, for a tenth of a second instead of thirty."""
    judge = judging("blocked_sessions", manual_clock, warning="> 100ms")
    look = looking(judge, Locks(source, LocksSettings(), manual_clock))
    await cluster.execute("create table held ()")
    holder = await guests.open(cluster, "begin", "lock table held")
    await judge.stays_quiet(look)
    waiter = await guests.begin(cluster, "select * from held")
    await aged(waiter, cluster)
    await judge.fires(look, Severity.WARNING)
    await gone(holder, cluster)
    await judge.clears(look)


async def test_cache_hits_that_fall_fire_and_clear(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """A table that is too large for the cache is read whole, again and again; then a small one is."""
    await cluster.execute("create database shop")
    await cluster.execute("create table big as select repeat('x', 900) as t from generate_series(1, 12000)", "shop")
    await cluster.execute("create table small as select n from generate_series(1, 20000) as n", "shop")
    judge = judging("cache_hit", manual_clock)
    small = "select " + ", ".join(["(select count(*) from small)"] * 30)
    at_ease = looking(judge, databases(source), lambda: cluster.execute(small, "shop"))
    await judge.stays_quiet(at_ease)
    in_trouble = looking(judge, databases(source), lambda: cluster.execute("select count(t) from big", "shop"))
    alert = await judge.fires(in_trouble, Severity.CRITICAL, "shop")
    assert alert.policy.first[Severity.CRITICAL] == ("dashboard",)
    assert alert.policy.steps == ()
    await judge.clears(at_ease)


async def test_deadlocks_fire_and_clear(
    source: PostgresServer, cluster: Cluster, guests: Guests, manual_clock: ManualClock
) -> None:
    """Two sessions lock two tables crosswise: once is information, six times within an hour a warning."""
    await cluster.execute("create table a (); create table b ()")
    judge = judging("deadlocks", manual_clock)
    look = looking(judge, databases(source))
    oid = cluster.psql("select oid from pg_database where datname = 'postgres'")
    await judge.stays_quiet(look)

    async def deadlock() -> None:
        one = await guests.open(cluster, "begin", "lock table a")
        other = await guests.open(cluster, "begin", "lock table b")
        ends = await asyncio.gather(one.execute("lock table b"), other.execute("lock table a"), return_exceptions=True)
        assert [type(end) for end in ends].count(asyncpg.DeadlockDetectedError) == 1
        for guest in (one, other):
            await guest.close()

    await deadlock()
    await judge.fires(look, Severity.INFO, oid, "postgres")
    for _ in range(5):
        await deadlock()
    await look()
    assert [severity for _, severity in judge.open.values()] == [Severity.WARNING]
    await judge.clears(look)


async def test_temporary_files_fire_and_clear(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """A sort that does not fit, at each look; a kilobyte a second instead of 20 MB."""
    judge = judging("temp_files", manual_clock, warning="> 1kB")
    oid = cluster.psql("select oid from pg_database where datname = 'postgres'")
    look = looking(judge, databases(source))
    await judge.stays_quiet(look)
    sort = "set work_mem = '64kB'; select n from generate_series(1, 200000) as n order by n % 1000, n desc"
    await judge.fires(
        looking(judge, databases(source), lambda: cluster.execute(sort)), Severity.WARNING, oid, "postgres"
    )
    await judge.clears(look)


async def test_checksum_failure_fires_and_clears(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """A byte of a page is turned over on disk; it stays until the table is gone and the statistics are reset."""
    cluster.stop()
    if cluster_has_no_checksums(cluster):
        run(cluster.bin_dir / "pg_checksums", "--enable", "--no-sync", "-D", cluster.data_dir, cwd=cluster.socket_dir)
    cluster.start()
    await cluster.execute("create table kept as select generate_series(1, 100) as n")
    file = cluster.data_dir / cluster.psql("select pg_relation_filepath('kept')")
    judge = judging("checksum_failures", manual_clock)
    look = looking(judge, databases(source))
    await judge.stays_quiet(look)
    cluster.stop()
    content = bytearray(file.read_bytes())
    content[4000] ^= 0xFF
    file.write_bytes(content)
    cluster.start()
    with suppress(asyncpg.DataCorruptedError):
        await cluster.execute("select count(*) from kept")
    await judge.fires(look, Severity.CRITICAL, "postgres")
    await cluster.execute("drop table kept")
    await cluster.execute("select pg_stat_reset()")
    await judge.clears(look)


def cluster_has_no_checksums(cluster: Cluster) -> bool:
    """Whether they are still to be switched on; the server is stopped."""
    told = run(cluster.bin_dir / "pg_controldata", "-D", cluster.data_dir, cwd=cluster.socket_dir)
    return "Data page checksum version:           0" in told


async def test_restart_fires_and_clears_by_itself(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """A quarter of an hour later nobody needs to know."""
    judge = judging("server_restarted", manual_clock)
    look = looking(judge, Identity(source, CollectorSettings(), manual_clock))
    await judge.stays_quiet(look)
    cluster.stop()
    cluster.start()
    await judge.fires(look, Severity.WARNING)
    await judge.clears(look)


async def test_setting_that_waits_for_a_restart_fires_and_clears(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """Changed, it waits; after the restart it is in force."""
    judge = judging("pending_restart", manual_clock)
    look = looking(judge, Settings(source, SettingsSettings(), manual_clock))
    await judge.stays_quiet(look)
    await cluster.execute("alter system set max_connections = 25")
    await cluster.execute("select pg_reload_conf()")
    alert = await judge.fires(look, Severity.INFO)
    assert alert.policy.first[Severity.INFO] == ()
    cluster.stop()
    cluster.start()
    await judge.clears(look)


async def test_changed_setting_fires_and_clears_by_itself(
    source: PostgresServer, cluster: Cluster, manual_clock: ManualClock
) -> None:
    """An hour later it is history."""
    judge = judging("settings_changed", manual_clock)
    collector = Settings(source, SettingsSettings(), manual_clock)

    async def nothing(name: str) -> str | None:
        return None

    collector.recall = nothing
    look = looking(judge, collector)
    await judge.stays_quiet(look)
    await cluster.execute("alter system set work_mem = '8MB'")
    await cluster.execute("select pg_reload_conf()")
    await eventually(lambda: cluster.psql("show work_mem") == "8MB")
    await judge.fires(look, Severity.INFO)
    await judge.clears(look)
