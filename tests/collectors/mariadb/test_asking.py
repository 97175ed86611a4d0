"""Somebody's own SQL at a MariaDB: what it may do, and what is told when it has no answer."""

import asyncio

import pytest

from collectors.contract import AskedError
from collectors.mariadb.failures import ServerError
from collectors.mariadb.server import DownError
from tests.collectors.mariadb.watched import CENSUS, ONE, a_server, watching
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.outcomes import Failure, Reason

pytestmark = pytest.mark.integration
PASSWORD = "p@ss/wörd"


@pytest.fixture(scope="module")
def role(mariadb: Mariadb) -> str:
    """A role with a password."""
    mariadb.sql(f"create or replace user asking identified by '{PASSWORD}'")
    return "asking"


async def asked(
    server: Mariadb, sql: str, *, seconds: float = 2.0, rows: int = 2, database: str | None = None
) -> Failure:
    """Why somebody's SQL has no answer."""
    async with watching(server) as source:
        with pytest.raises(AskedError) as caught:
            await source.ask(sql, timeout_seconds=seconds, most_rows=rows, database=database)
    return caught.value.failure


async def test_asked_sql_is_answered(mariadb: Mariadb) -> None:
    """Columns, rows, and whether there were more; on a connection that ends with it."""
    mariadb.sql("create user if not exists toban")
    async with watching(mariadb, user="toban") as source:
        whole = await source.ask("-- why\nselect 1 as a, 'x' as b", timeout_seconds=30, most_rows=2)
        cut = await source.ask("select 1 as a union select 2 union select 3", timeout_seconds=30, most_rows=2)
        assert (whole.columns, whole.rows, whole.more) == (("a", "b"), ((1, "x"),), False)
        assert (cut.rows, cut.more) == (((1,), (2,)), True)
        assert 0 < source.asked_seconds < source.spent_seconds
        await eventually(lambda: mariadb.sql(CENSUS) == "1")


async def test_asked_sql_of_another_database(mariadb: Mariadb) -> None:
    """The database of the entry counts, not the one in the DSN."""
    async with watching(mariadb) as source:
        answer = await source.ask("select database()", timeout_seconds=30, most_rows=1, database="mysql")
    assert answer.rows == (("mysql",),)


@pytest.mark.parametrize(
    "sql",
    [
        "delete from mysql.user",
        "set session transaction read write",
        "/*! delete from mysql.user */ select 1",
        "call mysql.nothing()",
        "select 1 into outfile '/tmp/never'",
        "select 1 INTO /* */ -- x\n DumpFile '/tmp/never'",
        "select 1 /*!50000 into outfile '/tmp/never' */",
        "select 1 /*!, release_all_locks() */",
        "select 1 /*M!100500 into outfile '/tmp/never' */",
    ],
)
async def test_asked_sql_must_begin_as_a_question(mariadb: Mariadb, sql: str) -> None:
    """Nothing else is sent at all."""
    failure = await asked(mariadb, sql)
    assert (failure.reason, failure.hint) == (Reason.QUERY, "Toban only reads")


@pytest.mark.parametrize(
    ("sql", "reason", "detail"),
    [
        ("select 1; drop table mysql.user", Reason.QUERY, "near 'drop table mysql.user' at line 1"),
        ("select 'geheim', (selec 'geheim'", Reason.QUERY, "near '?' at line 1"),
        ("select sleep(60)", Reason.TIMEOUT, "max_statement_time exceeded"),
        ("select nothing from mysql.user", Reason.QUERY, "Unknown column 'nothing'"),
        ("select * from mysql.nothing", Reason.QUERY, "Table 'mysql.nothing' doesn't exist"),
        ("select extractvalue('<a>', 'geheim(')", Reason.QUERY, "XPATH syntax error: ?"),
        ("select * from nothing", Reason.QUERY, "No database selected"),
    ],
)
async def test_asked_sql_fails_alone_and_without_its_literals(
    mariadb: Mariadb, sql: str, reason: Reason, detail: str
) -> None:
    """The server's words, with the names but never a value; the target is well all the while."""
    async with watching(mariadb) as source:
        with pytest.raises(AskedError) as caught:
            await source.ask(sql, timeout_seconds=1.5, most_rows=2)
        assert await source.fetch(ONE) == [{"one": 1}]
    failure = caught.value.failure
    assert (failure.reason, failure.down) == (reason, False)
    assert detail in failure.detail
    assert "geheim" not in str(failure)


async def test_asked_sql_writes_nothing(mariadb: Mariadb) -> None:
    """A question that would write is refused by the transaction."""
    mariadb.sql(
        "create database if not exists kept; create or replace table kept.t (id int); insert into kept.t values (1)"
    )
    failure = await asked(mariadb, "with gone as (select 1) select nextval(kept.s) from gone", database="kept")
    assert failure.reason is Reason.QUERY
    mariadb.sql("create or replace sequence kept.s")
    failure = await asked(mariadb, "select nextval(kept.s)")
    assert (failure.reason, "READ ONLY" in failure.detail) == (Reason.QUERY, True)


async def test_asked_sql_without_privilege(mariadb: Mariadb, role: str) -> None:
    """It is the entry's trouble, not the target's."""
    async with watching(mariadb, user=role, password=PASSWORD) as source:
        with pytest.raises(AskedError) as caught:
            await source.ask("select * from mysql.user", timeout_seconds=30, most_rows=1)
        with pytest.raises(AskedError) as elsewhere:
            await source.ask("select 1", timeout_seconds=30, most_rows=1, database="mysql")
    assert (caught.value.failure.reason, caught.value.failure.down) == (Reason.PRIVILEGE, False)
    assert (elsewhere.value.failure.reason, "`database`" in elsewhere.value.failure.hint) == (Reason.QUERY, True)


async def test_asked_sql_of_a_server_that_is_down() -> None:
    """That is the target's trouble."""
    source = a_server("mysql://toban@127.0.0.1:1/")
    with pytest.raises(DownError) as caught:
        await source.ask("select 1", timeout_seconds=30, most_rows=1)
    assert caught.value.failure.reason is Reason.UNREACHABLE


async def test_asked_sql_of_a_server_that_goes_is_the_targets_trouble(new_mariadb: NewMariadb) -> None:
    """Killed in mid-answer."""
    server = new_mariadb()
    source = a_server(server.dsn())
    asking = asyncio.create_task(source.ask("select sleep(50)", timeout_seconds=20, most_rows=1))
    await eventually(lambda: "sleep(50)" in server.sql("select info from information_schema.processlist"))
    server.kill()
    with pytest.raises(ServerError) as caught:
        await asking
    assert caught.value.failure.reason is Reason.UNREACHABLE
    source.abandon()
