import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from collectors.contract import AskedError
from collectors.postgresql import server as server_module
from collectors.postgresql.server import Databases, PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import CENSUS, ONE, SLEEP, Asking, a_server, census, failure_of
from tests.conftest import NewCluster, StandbyOf
from tests.pgbouncers import NewPgBouncer
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.secrets import Dsn

pytestmark = pytest.mark.integration

DATABASE_NAMES = [
    'quo"ted',
    "it's",
    "new\nline",
    "tab\tand space ",
    "🐘",
    "データベース" * 3 + "名前ab",
    "a/b?c=d&e%20#f@g",
]
LIMITS_IN_FORCE = Asking(
    "select name::text, setting::text, source::text from pg_settings where name in "
    "('statement_timeout', 'lock_timeout', 'default_transaction_read_only', 'search_path', 'application_name')"
)


@pytest.fixture
async def server(postgres15: Cluster) -> AsyncIterator[PostgresServer]:
    """A way into PostgreSQL 15."""
    opened = a_server(postgres15)
    yield opened
    await opened.close()


async def test_server_holds_the_limits_itself(postgres: Cluster) -> None:
    """Both kinds of session are bounded by the server, not by our good will."""
    server = a_server(postgres, statement_timeout=3.0, lock_timeout=0.2)
    expected = {
        ("statement_timeout", "3000", "client"),
        ("lock_timeout", "200", "client"),
        ("default_transaction_read_only", "on", "client"),
        ("search_path", "pg_catalog", "client"),
        ("application_name", "toban", "client"),
    }
    assert {tuple(row) for row in await server.fetch(LIMITS_IN_FORCE)} == expected
    async with server.visiting("postgres") as visit:
        assert {tuple(row) for row in await visit.fetch(LIMITS_IN_FORCE)} == expected
    await server.close()


async def test_a_visit_that_finds_no_slot_leaves_the_server_up(postgres15: Cluster) -> None:
    """The first connection answers, and says how full it is: just then nothing of it may be dropped."""
    postgres15.psql("create role lone login connection limit 1")
    server = a_server(postgres15, user="lone")
    try:
        await server.fetch(ONE)
        with pytest.raises(asyncpg.TooManyConnectionsError) as caught:
            async with server.visiting("postgres"):
                pass
        failure = server.explain(caught.value)
        assert (failure.reason, failure.down) == (Reason.FULL, False)
        with pytest.raises(AskedError) as asked:
            await server.ask("select 1", timeout_seconds=5, most_rows=1)
        assert (asked.value.failure.reason, asked.value.failure.down) == (Reason.FULL, False)
        await server.fetch(ONE)
    finally:
        await server.close()
        postgres15.psql("drop role lone")


async def test_server_knows_its_version(postgres: Cluster) -> None:
    """The version that chooses the SQL is the server's own, minor included."""
    server = a_server(postgres)
    assert (server.version, server.in_recovery) == (0, False)
    ((version,),) = await server.fetch(Asking("select current_setting('server_version_num')::int"))
    assert server.version == version
    await server.close()


async def test_server_behind_a_pooler_is_told_from_the_server(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer, manual_clock: ManualClock
) -> None:
    """PgBouncer takes no session's limits, and a pool is no place to measure a server from: the mend is said."""
    pooled = Dsn(new_pgbouncer(postgres15).dsn("postgres"))
    failure = await failure_of(PostgresServer(pooled, manual_clock, ServerLimits()))
    assert failure.reason is Reason.UNREACHABLE
    assert "unsupported startup parameter" in failure.detail
    assert "kind: pgbouncer" in failure.hint


async def test_server_is_read_without_a_part_in_the_transactions_of_others(
    postgres15: Cluster, unique_database: str
) -> None:
    """Where SERIALIZABLE is the default a reader may be the reason why somebody's transaction is undone."""
    default = f"ALTER DATABASE {unique_database} SET default_transaction_isolation = 'serializable'"
    await postgres15.execute(default)
    server = a_server(postgres15, unique_database)
    asking = Asking("select current_setting('transaction_isolation') as level")
    async with server.visiting(unique_database) as visit:
        levels = {(await server.fetch(asking))[0]["level"], (await visit.fetch(asking))[0]["level"]}
    await server.close()
    assert levels == {"read committed"}


async def test_server_that_does_not_know_our_settings_is_too_old(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL 13 ends the attempt at a setting that came with 14; that is said, and not how it was found out."""
    monkeypatch.setattr(server_module, "_session_settings", lambda _: {"idle_setting_of_tomorrow": "0"})
    failure = await failure_of(a_server(postgres15))
    assert failure.reason is Reason.VERSION
    assert failure.detail.startswith("Toban needs PostgreSQL 14, this server is older: ")


async def test_server_refuses_to_write(server: PostgresServer) -> None:
    """A statement that would change something is refused by the server."""
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await server.fetch(Asking("create table public.of_toban ()"))


async def test_server_ends_a_long_statement(postgres15: Cluster) -> None:
    """A statement beyond its time is ended by the server, on either connection, and the connection lives on."""
    server = a_server(postgres15, statement_timeout=0.1)
    assert (await failure_of(server, SLEEP)).reason is Reason.TIMEOUT
    held = server._connection
    async with server.visiting("postgres") as visit:
        with pytest.raises(asyncpg.QueryCanceledError):
            await visit.fetch(SLEEP)
        await visit.fetch(ONE)
    await server.fetch(ONE)
    assert server._connection is held
    assert server.spent_seconds >= 0.2  # both were the server's own time
    await server.close()


async def test_server_does_not_wait_for_a_lock(postgres15: Cluster, unique_database: str) -> None:
    """A table that somebody holds exclusively is left alone after the lock timeout."""
    holder = await postgres15.connect(unique_database)
    await holder.execute("create table held ()")
    await holder.execute("begin; lock table held in access exclusive mode")
    server = a_server(postgres15, unique_database)
    assert (await failure_of(server, Asking("select * from public.held"))).reason is Reason.LOCKED
    await server.close()
    await holder.close()


async def test_server_cannot_be_shadowed(postgres15: Cluster, unique_database: str) -> None:
    """Functions and relations that a user puts into public never stand in for the catalogue's."""
    await postgres15.execute(
        "create function public.version() returns text language sql as $$ select 'shadow'::text $$;"
        "create view public.pg_stat_activity as select 1 as trap;"
        f'alter database "{unique_database}" set search_path = public, pg_catalog',
        unique_database,
    )
    server = a_server(postgres15, unique_database)
    (row,) = await server.fetch(Query("identity"))
    assert row["version"].startswith("PostgreSQL 15")
    ((columns,),) = await server.fetch(Asking("select count(pid) from pg_stat_activity"))
    assert columns > 0
    await server.close()


async def test_server_never_holds_more_than_two_connections(new_cluster: NewCluster) -> None:
    """However both lanes are hammered from the first moment on, the server never counts three of ours."""
    cluster = new_cluster()
    server = a_server(cluster)
    watcher = await cluster.connect()
    seen: list[int] = []

    async def ask() -> None:
        for _ in range(150):
            await server.fetch(ONE)

    async def visit() -> None:
        for _ in range(25):
            async with server.visiting("template1") as there:
                await there.fetch(ONE)

    async def count(hammering: "asyncio.Future[tuple[None, None, None]]") -> None:
        while not hammering.done():
            seen.append(await watcher.fetchval(CENSUS))

    hammering = asyncio.gather(ask(), visit(), visit())
    await asyncio.gather(hammering, count(hammering))
    assert max(seen) == 2
    await server.close()
    assert await watcher.fetchval(CENSUS) == 0
    await watcher.close()


async def test_server_opens_one_connection_for_two_who_ask_at_once(postgres15: Cluster) -> None:
    """Two lanes that find no connection share the one that is being made."""
    server = a_server(postgres15)
    await asyncio.gather(server._opened(), server._opened(), server._opened())
    assert await census(postgres15) == 1
    await server.close()


async def test_server_sees_its_promotion(new_cluster: NewCluster, standby_of: StandbyOf) -> None:
    """A standby that becomes a primary tells it with its next answer, on the same connection."""
    standby = standby_of(new_cluster())
    server = a_server(standby)
    await server.fetch(ONE)
    before, held = server.in_recovery, server._connection
    standby.psql("select pg_promote()")
    await server.fetch(ONE)
    assert (before, server.in_recovery) == (True, False)
    assert server._connection is held
    await server.close()


@pytest.mark.parametrize("name", DATABASE_NAMES)
async def test_server_visits_a_database_of_any_name(server: PostgresServer, postgres15: Cluster, name: str) -> None:
    """Quotes, newlines, emoji and 63 bytes of Japanese are names as good as any."""
    assert len(name.encode()) <= 63
    identifier = '"' + name.replace('"', '""') + '"'
    await postgres15.execute(f"create database {identifier}")
    try:
        async with server.visiting(name) as visit:
            ((current,),) = await visit.fetch(Asking("select current_database()::text"))
        assert current == name
        via_dsn = PostgresServer(server.dsn.replace_database(name), SystemClock(), ServerLimits())
        assert (await via_dsn.fetch(Asking("select current_database()::text")))[0][0] == name
        await via_dsn.close()
    finally:
        await postgres15.execute(f"drop database {identifier} with (force)")


async def test_server_spells_names_once(server: PostgresServer) -> None:
    """A name is quoted in its place; what looks like a place within a name, or has no name, is left as it stands."""
    query = Asking("select 1 as @first@, 2 as @second@, '@third@' as rest")
    (row,) = await server.fetch(query, first='@second@"', second="日本")
    assert dict(row) == {'@second@"': 1, "日本": 2, "rest": "@third@"}


async def test_server_visit_ends_with_its_reason(server: PostgresServer, postgres15: Cluster) -> None:
    """What goes wrong within a visit comes out as it is, and its connection is gone."""
    with pytest.raises(ZeroDivisionError):
        async with server.visiting("postgres"):
            raise ZeroDivisionError
    assert server._visitor is None

    async def alone() -> bool:
        return await census(postgres15) == 1

    await eventually(alone)


async def test_server_visit_outlives_a_bad_goodbye(server: PostgresServer) -> None:
    """When the server drops a visitor after its last answer, the answers count."""
    async with server.visiting("postgres") as visit:
        rows = await visit.fetch(ONE)
        await server.fetch(Asking("select pg_terminate_backend($1)"), visit._connection.get_server_pid())
    assert len(rows) == 1


async def test_server_visit_is_over_when_it_ends(postgres15: Cluster) -> None:
    """Once a visit has ended the server has let go of it too: the next visitor is never one too many."""
    server, watcher = a_server(postgres15), await postgres15.connect()
    for _ in range(20):
        async with server.visiting("postgres") as visit:
            await visit.fetch(ONE)
        assert await watcher.fetchval(CENSUS) == 1
    await server.close()
    await watcher.close()


async def test_server_closes_in_good_order(postgres15: Cluster) -> None:
    """After a close nothing is left, and it may be closed again, also when it never was open."""
    server = a_server(postgres15)
    await server.close()
    await server.fetch(ONE)
    await server.close()
    await server.close()
    assert await census(postgres15) == 0


async def test_server_remembers_when_it_last_answered(postgres15: Cluster) -> None:
    """A refusal is an answer too; silence is none."""
    clock = ManualClock()
    server = a_server(postgres15, clock=clock)
    await server.fetch(ONE)
    clock.advance(10)
    await failure_of(server, Asking("select 1/0"))
    assert server.answered_at == clock.monotonic()
    await server.close()


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        (("*",), (), ["app", "app_test", "データ"]),
        (("app*",), (), ["app", "app_test"]),
        (("*",), ("*_test", "データ"), ["app"]),
        (("app",), ("app",), []),
        ((), (), []),
    ],
)
def test_databases_are_chosen_by_pattern(include: tuple[str, ...], exclude: tuple[str, ...], chosen: list[str]) -> None:
    """A database is looked at when a pattern takes it in and none leaves it out."""
    databases = Databases(include=include, exclude=exclude)
    assert [name for name in ("app", "app_test", "データ") if databases.chosen(name)] == chosen
