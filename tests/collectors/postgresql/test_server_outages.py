import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from collectors.postgresql import server as server_module
from collectors.postgresql.server import DownError, PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import ONE, SLEEP, Asking, a_server, census, failure_of
from tests.conftest import NewCluster
from tests.ports import free_port
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.secrets import Dsn

pytestmark = pytest.mark.integration


@pytest.fixture
async def server(postgres15: Cluster) -> AsyncIterator[PostgresServer]:
    """A way into PostgreSQL 15."""
    opened = a_server(postgres15)
    yield opened
    await opened.close()


@contextmanager
def listening(backlog: int) -> Iterator[int]:
    """A port where somebody listens and nobody ever answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(backlog)
        yield int(silent.getsockname()[1])


def a_way_to(port: int, **limits: float) -> PostgresServer:
    """A way to whatever listens there."""
    return PostgresServer(Dsn(f"postgresql://toban@127.0.0.1:{port}/x"), SystemClock(), ServerLimits(**limits))


async def forgotten(cluster: Cluster) -> None:
    """Wait until the server counts no connection of Toban's."""

    async def gone() -> bool:
        return await census(cluster) == 0

    await eventually(gone)


async def test_server_cancelled_in_a_statement_leaves_no_backend(postgres15: Cluster) -> None:
    """A turn that is cut off leaves nothing running on the server, and the next one gets its answer."""
    server = a_server(postgres15, statement_timeout=600.0)
    await server.fetch(ONE)
    asking = asyncio.create_task(server.fetch(SLEEP))
    sleeping = "select count(*) from pg_stat_activity where application_name = 'toban' and wait_event = 'PgSleep'"
    watcher = await postgres15.connect()
    await eventually(lambda: watcher.fetchval(sleeping))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(await server.fetch(ONE)) == 1

    async def gone() -> bool:
        return bool(await watcher.fetchval(sleeping) == 0)

    await eventually(gone)  # the server looks every second whether we are still there
    await watcher.close()
    await server.close()


async def test_server_cancelled_while_connecting_leaves_no_connection(new_cluster: NewCluster) -> None:
    """A turn that is cut off while a frozen server lets it wait leaves nothing behind when the server goes on."""
    cluster = new_cluster()
    server = a_server(cluster, clock=ManualClock())
    cluster.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await server.fetch(ONE)
    assert (await failure_of(server)).reason is Reason.UNANSWERED  # put off: the server was not asked again
    cluster.thaw()
    await forgotten(cluster)


async def test_server_that_freezes_is_unanswered_and_comes_back(new_cluster: NewCluster) -> None:
    """A stopped server costs a bounded wait, then nothing at all; when it goes on, one connection is all there is."""
    cluster, clock = new_cluster(), ManualClock()
    server = a_server(cluster, clock=clock)
    await server.fetch(ONE)
    cluster.freeze()
    server.limits = ServerLimits(connect_timeout=0.3)
    server._connection._config = server._connection._config._replace(command_timeout=0.3)
    assert (await failure_of(server)).reason is Reason.UNANSWERED
    assert (await failure_of(server)).reason is Reason.UNANSWERED  # no answer to a new connection
    with pytest.raises(DownError):
        await server.fetch(ONE)  # not even tried
    cluster.thaw()
    server.limits = ServerLimits()
    clock.advance(0.5)
    await eventually(lambda: _answers(server, clock))

    async def alone() -> bool:
        return await census(cluster) == 1

    await eventually(alone)
    await server.close()


async def _answers(server: PostgresServer, clock: ManualClock) -> bool:
    clock.advance(15)
    try:
        return bool(await server.fetch(ONE))
    except DownError:
        return False


async def test_server_killed_in_a_statement_is_down_and_comes_back(new_cluster: NewCluster) -> None:
    """Kill -9 under a running statement is a typed failure; after the server's return the next attempt succeeds."""
    cluster, clock = new_cluster(), ManualClock()
    server = a_server(cluster, clock=clock)
    await server.fetch(ONE)
    asking = asyncio.create_task(server.fetch(SLEEP))
    watcher = await cluster.connect()
    await eventually(lambda: watcher.fetchval("select count(*) from pg_stat_activity where wait_event = 'PgSleep'"))
    watcher.terminate()
    cluster.kill()
    with pytest.raises(DownError) as caught:  # the loss was noticed, one new connection tried, and refused
        await asking
    assert caught.value.failure.reason is Reason.UNREACHABLE
    cluster.start()
    assert (await failure_of(server)).down  # not due yet
    clock.advance(0.5)
    assert len(await server.fetch(ONE)) == 1
    await server.close()


@pytest.mark.parametrize("noticed", [True, False])
async def test_server_that_restarted_meanwhile_answers_at_once(new_cluster: NewCluster, *, noticed: bool) -> None:
    """A restart between two turns costs no turn, whether or not the loss of the connection was seen before."""
    cluster = new_cluster()
    server = a_server(cluster)
    await server.fetch(ONE)
    cluster.stop()
    cluster.start()
    if noticed:
        await eventually(server._connection.is_closed)
    assert len(await server.fetch(ONE)) == 1
    assert await census(cluster) == 1
    await server.close()


async def test_server_lost_on_a_new_connection_is_not_asked_again(postgres15: Cluster) -> None:
    """A statement that costs its backend the life is tried once on a new connection, not for ever."""
    server = a_server(postgres15)
    suicide = Asking("select pg_terminate_backend(pg_backend_pid())")
    assert (await failure_of(server, suicide)).reason is Reason.UNREACHABLE
    assert len(await server.fetch(ONE)) == 1
    assert (await failure_of(server, suicide)).reason is Reason.UNREACHABLE
    await server.close()


async def test_server_backs_off_for_both_lanes(new_cluster: NewCluster) -> None:
    """After a refused connection neither lane knocks again before its time, and the waits grow to a bound."""
    cluster, clock = new_cluster(start=False), ManualClock()
    server = a_server(cluster, clock=clock)
    waits = []
    for _ in range(8):
        assert (await failure_of(server)).reason is Reason.UNREACHABLE
        waits.append(server._next_attempt - clock.monotonic())
        clock.advance(waits[-1])
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert (await failure_of(server)).reason is Reason.UNREACHABLE
    cluster.start()
    with pytest.raises(DownError):
        async with server.visiting("postgres"):
            pass
    clock.advance(15)
    async with server.visiting("postgres") as visit:
        await visit.fetch(ONE)
    assert server._attempts == 0
    await server.close()


async def test_server_with_a_wrong_password_says_so_without_it(new_cluster: NewCluster) -> None:
    """A refused password is an authentication failure that does not quote the password."""
    cluster = new_cluster(hba=("host all guarded 127.0.0.1/32 scram-sha-256",))
    cluster.psql("create role guarded login password 'right'")
    server = PostgresServer(Dsn(cluster.dsn(user="guarded", password="wr0ng")), SystemClock(), ServerLimits())
    failure = await failure_of(server)
    assert failure.reason is Reason.AUTHENTICATION
    assert "wr0ng" not in failure.detail
    right = PostgresServer(Dsn(cluster.dsn(user="guarded", password="right")), SystemClock(), ServerLimits())
    assert len(await right.fetch(ONE)) == 1
    await right.close()


async def test_server_without_the_database_says_so(postgres15: Cluster) -> None:
    """An unknown database means that the target is down, with a hint where to mend it."""
    failure = await failure_of(a_server(postgres15, "nowhere"))
    assert (failure.reason, failure.down) == (Reason.NOT_FOUND, True)
    assert "dsn" in failure.hint


async def test_server_dsn_without_a_database_means_the_one_called_as_the_role(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere in PostgreSQL; where there is none, the failure is that of an unknown database."""
    monkeypatch.delenv("PGDATABASE", raising=False)
    dsn = Dsn(f"postgresql://postgres@127.0.0.1:{postgres15.port}")
    server = PostgresServer(dsn, SystemClock(), ServerLimits())
    assert (await server.fetch(Asking("select current_database()::text")))[0][0] == "postgres"
    await server.close()


async def test_server_on_a_refused_port_is_unreachable() -> None:
    """Nobody listens there."""
    assert (await failure_of(a_way_to(free_port()))).reason is Reason.UNREACHABLE


async def test_server_that_listens_and_never_answers_is_unanswered() -> None:
    """A port that takes connections and says nothing costs the connect timeout, no more."""
    with listening(backlog=5) as port:
        failure = await failure_of(a_way_to(port, connect_timeout=0.2))
    assert (failure.reason, failure.detail) == (Reason.UNANSWERED, "no answer in time")


async def test_server_whose_backlog_is_full_is_unanswered() -> None:
    """A port that does not even complete the handshake costs the connect timeout, no more."""
    with listening(backlog=0) as port, socket.socket() as first, socket.socket() as second:
        for filler in (first, second):
            filler.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            filler.connect_ex(("127.0.0.1", port))
        assert (await failure_of(a_way_to(port, connect_timeout=0.2))).reason is Reason.UNANSWERED


async def test_server_of_an_unknown_host_is_unreachable() -> None:
    """A name that nobody knows is told apart by its hint."""
    server = PostgresServer(Dsn("postgresql://toban@no-such-host.invalid/x"), SystemClock(), ServerLimits())
    failure = await failure_of(server)
    assert failure.reason is Reason.UNREACHABLE
    assert "host" in failure.hint


async def test_server_without_a_slot_left_is_full(new_cluster: NewCluster) -> None:
    """When ordinary roles have used up max_connections, the reason says it."""
    cluster = new_cluster(settings={"max_connections": "5", "superuser_reserved_connections": "2"})
    await cluster.execute("create role crowd login")  # and its session is gone when this returns
    crowd = [await cluster.connect(user="crowd") for _ in range(3)]
    failure = await failure_of(a_server(cluster, user="crowd"))
    assert failure.reason is Reason.FULL
    for connection in crowd:
        await connection.close()


async def test_server_that_shuts_down_is_starting(new_cluster: NewCluster) -> None:
    """A server that answers but takes no connections now is on its way up or down."""
    cluster = new_cluster()
    guest = await cluster.connect()
    assert cluster._server is not None
    os.kill(cluster._server.pid, signal.SIGTERM)  # smart: it waits for its guest
    clock = ManualClock()
    server = a_server(cluster, clock=clock)

    async def starting() -> bool:
        clock.advance(15)
        try:
            await server.fetch(ONE)
        except DownError as down:
            return down.failure.reason is Reason.STARTING
        return False

    await eventually(starting)
    await guest.close()


async def test_server_that_may_not_connect_is_refused_and_down(postgres15: Cluster, unique_database: str) -> None:
    """A role without CONNECT, and a database that takes no connections, keep us out: the target is down."""
    postgres15.psql(f'revoke connect on database "{unique_database}" from public')
    postgres15.psql(f'create role "{unique_database}" login')
    try:
        failure = await failure_of(a_server(postgres15, unique_database, user=unique_database))
    finally:
        postgres15.psql(f'drop role "{unique_database}"')
    assert (failure.reason, failure.down) == (Reason.AUTHENTICATION, True)
    assert (await failure_of(a_server(postgres15, "template0"))).reason is Reason.NOT_FOUND


async def test_server_of_a_role_without_rights_tells_the_privilege(postgres15: Cluster, unique_database: str) -> None:
    """What the role may not read is a privilege failure that points to the setup, and the target stays up."""
    postgres15.psql(f'create role "{unique_database}" login')
    server = a_server(postgres15, user=unique_database)
    failure = await failure_of(server, Asking("select * from pg_authid"))
    await server.close()
    postgres15.psql(f'drop role "{unique_database}"')
    assert (failure.reason, failure.down) == (Reason.PRIVILEGE, False)
    assert "toban setup postgresql" in failure.hint


async def test_server_replaces_a_connection_in_an_unknown_state(server: PostgresServer) -> None:
    """After a driver's complaint the connection is not used again."""
    await server.fetch(ONE)
    held = server._connection
    with pytest.raises(asyncpg.InterfaceError):
        await server.fetch(Asking("select $1::int"))  # its argument is missing
    assert len(await server.fetch(ONE)) == 1
    assert server._connection is not held


async def test_server_abandoned_in_a_statement_does_not_ask_again(server: PostgresServer) -> None:
    """The turn that was given up ends; only the next one connects again."""
    await server.fetch(ONE)
    deaf = asyncio.create_task(server.fetch(SLEEP))
    await asyncio.sleep(0)  # it has been sent
    server.abandon()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await deaf
    assert server._connection is None


async def test_server_that_is_too_old_is_left_alone(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version below the oldest is a typed reason; no connection is kept, and none is tried all the time."""
    monkeypatch.setattr(server_module, "OLDEST", 990000)
    clock = ManualClock()
    server = a_server(postgres15, clock=clock)
    failure = await failure_of(server)
    assert failure.reason is Reason.VERSION
    assert "99" in failure.detail
    assert await failure_of(server) == failure
    await forgotten(postgres15)


async def test_server_explains_a_query_without_a_floor(server: PostgresServer) -> None:
    """A query that this server is too old for is a typed reason, not a fault."""

    class TooNew(Query):
        @property
        def floors(self) -> dict[int, str]:
            return {990000: "select 1"}

    assert (await failure_of(server, TooNew("future"))).reason is Reason.VERSION


async def test_server_abandoned_cuts_both_connections(postgres15: Cluster) -> None:
    """A turn that does not come back loses its connections; the next one starts afresh."""
    server = a_server(postgres15)
    async with server.visiting("postgres") as visit:
        server.abandon()
        with pytest.raises(asyncpg.InterfaceError):
            await visit.fetch(ONE)
    await forgotten(postgres15)
    assert len(await server.fetch(ONE)) == 1
    async with server.visiting("postgres") as visit:
        await visit.fetch(ONE)
    await server.close()


async def test_server_abandoned_while_connecting_keeps_nothing(postgres15: Cluster) -> None:
    """A connection that arrives after its turn was given up is closed, on both lanes."""
    server = a_server(postgres15)
    late = asyncio.create_task(server.fetch(ONE))
    await asyncio.sleep(0)  # it has begun to connect
    server.abandon()
    with pytest.raises(DownError):
        await late
    assert server._connection is None
    await server.fetch(ONE)
    visiting = server.visiting("postgres")
    late_visit = asyncio.create_task(visiting.__aenter__())
    await asyncio.sleep(0)
    server.abandon()
    with pytest.raises(DownError):
        await late_visit
    assert server._visitor is None
    await forgotten(postgres15)


async def test_server_closes_when_it_is_frozen(new_cluster: NewCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A goodbye that nobody hears is cut short."""
    monkeypatch.setattr(server_module, "PARTING_SECONDS", 0.1)
    cluster = new_cluster()
    server = a_server(cluster)
    await server.fetch(ONE)
    cluster.freeze()
    await server.close()
    cluster.thaw()
    await forgotten(cluster)
