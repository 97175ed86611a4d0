import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.contract import Answer, AskedError
from collectors.postgresql.server import DownError, PostgresServer
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import ONE, Asking, a_server
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.outcomes import Failure, Reason

pytestmark = pytest.mark.integration

READS = "Toban only reads"
SLOW = "make the query cheaper (EXPLAIN), or raise `timeout` of the entry"
TRADES = """
create table trades (id int primary key, desk text not null, profit numeric);
insert into trades values (1, 'fx', 2.5), (2, 'fx', null), (3, 'bonds', 7);
create sequence numbers;
create function writes() returns int language sql as $$ delete from trades returning id $$;
create function allows() returns text language sql as $$ select set_config('transaction_read_only', 'off', true) $$;
create function raises() returns int language plpgsql as $$ begin raise exception 'hunter2 %', 5; end $$;
create procedure does() language sql as $$ delete from trades $$;
"""
SETTING = Asking("select current_setting('statement_timeout') as statement_timeout")
STATE = "select count(*), sum(id) from trades"


@asynccontextmanager
async def shop(cluster: Cluster, database: str, statement_timeout: float = 4.0) -> AsyncIterator[PostgresServer]:
    """A database with trades, asked by a superuser: what holds for him holds for everybody."""
    cluster.psql(TRADES, database)
    server = a_server(cluster, database, statement_timeout=statement_timeout)
    try:
        yield server
    finally:
        await server.close()


async def ask(server: PostgresServer, sql: str, *, timeout_seconds: float = 30.0, most_rows: int = 100) -> Answer:
    """The answer."""
    return await server.ask(sql, timeout_seconds=timeout_seconds, most_rows=most_rows)


async def refusal(server: PostgresServer, sql: str, *, timeout_seconds: float = 30.0) -> Failure:
    """Why there is none."""
    with pytest.raises(AskedError) as error:
        await ask(server, sql, timeout_seconds=timeout_seconds)
    assert server.explain(error.value) is error.value.failure
    return error.value.failure


async def test_query_is_answered_as_its_author_would_see_it(postgres: Cluster, unique_database: str) -> None:
    """With the role's search path; the columns also where there is no row."""
    async with shop(postgres, unique_database) as server:
        found = await ask(
            server, "select desk, count(*) as count, sum(profit) as profit from trades group by 1 order by 1"
        )
        assert found == Answer(columns=("desk", "count", "profit"), rows=(("bonds", 1, 7), ("fx", 2, 2.5)))
        assert await ask(server, "select desk from trades where false") == Answer(columns=("desk",), rows=())
        assert (await ask(server, "select count(*) as count from trades -- of today")).rows == ((3,),)


async def test_rows_are_bounded_on_the_server(postgres: Cluster, unique_database: str) -> None:
    """A cursor stops where enough is taken; that there was more is known."""
    async with shop(postgres, unique_database) as server:
        assert await ask(server, "select generate_series(1, 1000000000) as n", most_rows=2) == Answer(
            columns=("n",), rows=((1,), (2,)), more=True
        )
        assert not (await ask(server, "select id from trades", most_rows=3)).more


@pytest.mark.parametrize(
    ("sql", "detail"),
    [
        ("insert into trades values (4, 'fx', 1)", 'syntax error at or near "insert" (line 1, column 1)'),
        ("COPY trades TO PROGRAM 'cat >/dev/null'", 'syntax error at or near "COPY" (line 1, column 1)'),
        ("copy (select 1) to '/tmp/hunter2'", 'syntax error at or near "copy" (line 1, column 1)'),
        ("COMMIT", 'syntax error at or near "COMMIT" (line 1, column 1)'),
        ("COMMIT; DROP TABLE trades", 'syntax error at or near "COMMIT" (line 1, column 1)'),
        ("select 1; DROP TABLE trades", "cannot insert multiple commands into a prepared statement"),
        ("do $$ begin delete from trades; end $$", 'syntax error at or near "do" (line 1, column 1)'),
        ("call does()", 'syntax error at or near "call" (line 1, column 1)'),
        ("prepare transaction 'x'", 'syntax error at or near "prepare" (line 1, column 1)'),
        ("explain analyze delete from trades", 'syntax error at or near "explain" (line 1, column 1)'),
        ("set transaction_read_only = off", 'syntax error at or near "set" (line 1, column 1)'),
        ("select 1 as one into stolen", "SELECT ... INTO is not allowed here (line 1, column 22)"),
        (
            "with gone as (delete from trades returning *) select * from gone",
            "DECLARE CURSOR must not contain data-modifying statements in WITH",
        ),
    ],
)
async def test_whatever_is_no_query_is_refused(postgres: Cluster, unique_database: str, sql: str, detail: str) -> None:
    """By the server itself, to a superuser too."""
    async with shop(postgres, unique_database) as server:
        assert await refusal(server, sql) == Failure(reason=Reason.QUERY, detail=detail)
        assert postgres.psql(STATE, unique_database) == "3|6"


@pytest.mark.parametrize(
    ("sql", "detail"),
    [
        ("select writes()", "cannot execute DELETE in a read-only transaction"),
        ("select nextval('numbers')", "cannot execute nextval() in a read-only transaction"),
        ("select * from trades for update", "cannot execute SELECT FOR UPDATE in a read-only transaction"),
        (
            "select set_config('transaction_read_only', 'off', false)",
            "transaction read-write mode must be set before any query",
        ),
        ("select allows(), writes()", "transaction read-write mode must be set before any query"),
    ],
)
async def test_query_that_writes_is_refused(postgres: Cluster, unique_database: str, sql: str, detail: str) -> None:
    """Whatever it hides behind."""
    async with shop(postgres, unique_database) as server:
        assert await refusal(server, sql) == Failure(reason=Reason.QUERY, detail=detail, hint=READS)
        assert postgres.psql(STATE, unique_database) == "3|6"


async def test_nothing_outlives_its_session(postgres: Cluster, unique_database: str) -> None:
    """No lock, no setting, no large object, and no connection of its own."""
    async with shop(postgres, unique_database) as server:
        await ask(server, "select pg_advisory_lock(8432), set_config('statement_timeout', '0', false)")
        if postgres.major >= 16:  # the others let it, and forget it with the transaction
            failure = await refusal(server, "select lo_import('/etc/hostname')")
            assert failure.detail == "cannot execute lo_import() in a read-only transaction"
        else:
            await ask(server, "select lo_import('/etc/hostname')")
        await eventually(lambda: postgres.psql("select count(*) from pg_locks where locktype = 'advisory'") == "0")
        assert postgres.psql("select count(*) from pg_largeobject", unique_database) == "0"
        assert [row["statement_timeout"] for row in await server.fetch(SETTING)] == ["4s"]


@pytest.mark.parametrize(
    ("sql", "detail"),
    [
        ("select\n  nope\nfrom trades", 'column "nope" does not exist (line 2, column 3)'),
        ("select * from nope", 'relation "nope" does not exist (line 1, column 15)'),
        ("select 'hunter2'::int", "invalid input syntax for type integer: ? (line 1, column 8)"),
        ("select desk::int from trades where id = 1", "invalid input syntax for type integer: ?"),
        ("select 'hunter2", 'unterminated quoted string at or near "?" (line 1, column 8)'),
        ("select 1 +", "syntax error at end of input (line 1, column 11)"),
        ("select raises()", "a function raised an exception (P0001)"),
        ("select 1 / 0", "division by zero"),
    ],
)
async def test_error_says_what_and_where_but_no_literal(
    postgres: Cluster, unique_database: str, sql: str, detail: str
) -> None:
    """In the server's words, so that its author can mend it."""
    async with shop(postgres, unique_database) as server:
        assert await refusal(server, sql) == Failure(reason=Reason.QUERY, detail=detail)


async def test_slow_query_is_ended_by_the_server(postgres16: Cluster, unique_database: str) -> None:
    """At its own limit, whatever holds for other statements; nothing of it goes on."""
    async with shop(postgres16, unique_database, statement_timeout=600.0) as server:
        failure = await refusal(server, "select pg_sleep(60)", timeout_seconds=1.0)
        assert failure == Failure(
            reason=Reason.TIMEOUT, detail="canceling statement due to statement timeout", hint=SLOW
        )
        sleeping = "select count(*) from pg_stat_activity where query like '%sleep(60)' and state = 'active'"
        await eventually(lambda: postgres16.psql(sleeping) == "0")


async def test_query_may_take_longer_than_what_toban_asks_itself(postgres16: Cluster, unique_database: str) -> None:
    """Its timeout is its author's decision."""
    async with shop(postgres16, unique_database, statement_timeout=0.5) as server:
        assert (await ask(server, "select 1 as one from pg_sleep(0.7)")).rows == ((1,),)


async def test_query_stands_aside_for_a_lock(postgres16: Cluster, unique_database: str) -> None:
    """It waits for the lock_timeout of the target, and no application waits behind it."""
    async with shop(postgres16, unique_database) as server:
        other = await postgres16.connect(unique_database)
        try:
            await other.execute("begin; lock table trades in access exclusive mode")
            failure = await refusal(server, "select count(*) from trades")
        finally:
            await other.close()
        assert failure == Failure(
            reason=Reason.LOCKED, detail="canceling statement due to lock timeout (line 1, column 22)"
        )


async def test_role_without_a_privilege_is_told(postgres16: Cluster, unique_database: str) -> None:
    """What it lacks is the author's to grant."""
    async with shop(postgres16, unique_database):
        postgres16.psql(f"create role role_{unique_database} login")
        server = a_server(postgres16, unique_database, user=f"role_{unique_database}")
        try:
            assert await refusal(server, "select count(*) from trades") == Failure(
                reason=Reason.PRIVILEGE,
                detail="permission denied for table trades",
                hint="GRANT it to the role in `dsn`: SELECT, EXECUTE, CONNECT",
            )
        finally:
            await server.close()
            postgres16.psql(f"drop role role_{unique_database}")


async def test_other_database_is_visited(postgres16: Cluster, unique_database: str) -> None:
    """The one that an entry names; one that is not there is the entry's mistake and not the server's."""
    async with shop(postgres16, unique_database):
        server = a_server(postgres16)
        try:
            found = await server.ask(
                "select count(*) as count from trades", timeout_seconds=30.0, most_rows=1, database=unique_database
            )
            assert found.rows == ((3,),)
            with pytest.raises(AskedError) as error:
                await server.ask("select 1 as one", timeout_seconds=30.0, most_rows=1, database="nowhere")
            assert error.value.failure == Failure(
                reason=Reason.QUERY, detail="database ? does not exist", hint="check `database` of the entry"
            )
        finally:
            await server.close()


async def test_time_counts_apart(postgres16: Cluster, unique_database: str) -> None:
    """It is the server's time, and yet no other collector's cadence is stretched for it; also when it fails."""
    async with shop(postgres16, unique_database) as server:
        await server.fetch(ONE)
        before = server.spent_seconds
        await ask(server, "select pg_sleep(0.1)")
        await refusal(server, "select pg_sleep(60)", timeout_seconds=1.0)
        assert server.asked_seconds > 0.1
        assert server.spent_seconds - before >= server.asked_seconds


async def test_server_has_two_connections_at_most(postgres16: Cluster, unique_database: str) -> None:
    """Queries of one server follow one another."""
    async with shop(postgres16, unique_database) as server:
        await asyncio.gather(
            *(ask(server, "select pg_sleep(0.05)") for _ in range(3)), peak(postgres16, unique_database)
        )


async def peak(cluster: Cluster, database: str) -> None:
    """While they are asked, never a third."""
    connection = await cluster.connect()
    try:
        for _ in range(10):
            sql = "select count(*) from pg_stat_activity where application_name = 'toban' and datname = $1"
            assert await connection.fetchval(sql, database) <= 2
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_session_that_is_ended_says_nothing_of_the_server(postgres16: Cluster, unique_database: str) -> None:
    """The next query is answered."""
    async with shop(postgres16, unique_database) as server:
        failure = await refusal(server, "select pg_terminate_backend(pg_backend_pid())")
        assert failure.reason is Reason.UNREACHABLE
        assert (await ask(server, "select 1 as one")).rows == ((1,),)


async def test_server_that_is_down_is_what_is_wrong(new_cluster: NewCluster) -> None:
    """Not the query; and one that hangs is one that does not answer."""
    cluster = new_cluster()
    server = a_server(cluster)
    await ask(server, "select 1 as one")
    cluster.freeze()
    with pytest.raises(TimeoutError) as hanging:
        await ask(server, "select 1 as one", timeout_seconds=0.5)
    assert server.explain(hanging.value).down
    cluster.thaw()
    cluster.stop()
    for _ in range(2):  # by the connection that stays, or by the one that is refused
        with pytest.raises((DownError, ConnectionError)) as refused:
            await ask(server, "select 1 as one")
        assert server.explain(refused.value).down
    await server.close()


async def test_server_that_falls_silent_under_the_query_is_late(
    postgres16: Cluster, unique_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It let us in a moment ago: whether it is down, its other collectors find out."""

    async def silent(*_: object, **__: object) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("collectors.postgresql.server.answer_of", silent)
    async with shop(postgres16, unique_database) as server:
        await server.fetch(ONE)
        assert await refusal(server, "select 1 as one", timeout_seconds=1.5) == Failure(
            reason=Reason.TIMEOUT, detail="no answer in time", hint=SLOW
        )
