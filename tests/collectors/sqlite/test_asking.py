import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.contract import Answer, AskedError
from collectors.sqlite import asking
from collectors.sqlite.file import SqliteFile
from tests.sqlite_files import ROLLBACK, WAL, Writer, a_database, application, can_write, contents, held
from tests.waiting import eventually
from toban.outcomes import Failure, Reason

COUNT = "select count(*) as count, max(id) as newest from trade"
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as count from n"
NOT_AUTHORIZED = Failure(reason=Reason.QUERY, detail="not authorized", hint="Toban only reads")
SLOW = "make the query cheaper (EXPLAIN QUERY PLAN), or raise `timeout` of the entry"


async def ask(path: Path, sql: str, *, most_rows: int = 100, timeout_seconds: float = 30.0) -> Answer:
    """The answer of a file that is asked once."""
    return await SqliteFile(path).ask(sql, timeout_seconds=timeout_seconds, most_rows=most_rows)


async def refusal(path: Path, sql: str, *, timeout_seconds: float = 30.0) -> Failure:
    """Why there is no answer."""
    with pytest.raises(AskedError) as error:
        await ask(path, sql, timeout_seconds=timeout_seconds)
    assert SqliteFile(path).explain(error.value) is error.value.failure
    return error.value.failure


@pytest.mark.parametrize("mode", [ROLLBACK, WAL])
async def test_file_answers_and_stays_as_it_was(tmp_path: Path, mode: str) -> None:
    """At rest, nothing is created beside it either."""
    path = a_database(tmp_path / "ledger.db", mode)
    before = contents(tmp_path)
    assert await ask(path, COUNT) == Answer(columns=("count", "newest"), rows=((250, 250),))
    assert contents(tmp_path) == before


async def test_wal_is_read_beside_its_writer(tmp_path: Path) -> None:
    """What it has committed is there, what it has not is not, and it may go on writing."""
    path = a_database(tmp_path / "ledger.db", WAL)
    with held(path, "INSERT INTO trade (note) VALUES ('new')", "BEGIN IMMEDIATE", "DELETE FROM trade"):
        assert (await ask(path, COUNT)).rows == ((251, 251),)
    with Writer(path) as writer:
        answers = [await ask(path, COUNT) for _ in range(20)]
    assert {answer.rows for answer in answers} == {((251, 251),)}
    assert writer.commits > 0
    assert writer.refused == 0


async def test_rollback_file_is_read_without_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits for nobody gets its lock in the middle of the query."""
    path = a_database(tmp_path / "ledger.db")
    seen: list[bool] = []

    def text(value: bytes) -> str:
        seen.append(can_write(path))
        return value.decode()

    monkeypatch.setattr(asking, "_text", text)
    assert len((await ask(path, "select note from trade limit 1")).rows) == 1
    assert seen == [True]


async def test_file_under_a_writers_lock_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rollback mode half of a change may stand in the file; the writer is waited for a moment, then not."""
    monkeypatch.setattr(asking, "PAUSE_SECONDS", 0.0)
    path = a_database(tmp_path / "ledger.db")
    with held(path, "BEGIN IMMEDIATE"):
        failure = await refusal(path, COUNT)
    assert failure == Failure(
        reason=Reason.LOCKED,
        detail="the file was written to during every attempt",
        hint="in WAL mode (PRAGMA journal_mode=wal) readers and writers do not meet",
    )
    assert not failure.down


@pytest.mark.parametrize("sql", [COUNT, "select nope from trade"])
async def test_answer_counts_only_if_nobody_wrote_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """Neither an answer nor an error of a file that changed under the query is believed; it begins again."""
    monkeypatch.setattr(asking, "PAUSE_SECONDS", 0.0)
    path = a_database(tmp_path / "ledger.db")
    begun = 0
    real = asking._asked

    def asked(look: object, *rest: object) -> Answer:
        nonlocal begun
        begun += 1
        with closing(application(path)) as connection:
            connection.execute("DELETE FROM trade WHERE id = ?", (begun,))
        return real(look, *rest)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(asking, "_asked", asked)
    assert (await refusal(path, sql)).reason is Reason.LOCKED
    assert begun == asking.ATTEMPTS


async def test_moment_of_a_changing_header_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READONLY out of a WAL means: once more. What stays READONLY is told."""
    path = a_database(tmp_path / "ledger.db", WAL)
    tries = 0
    real = asking._asked

    def asked(look: object, *rest: object) -> Answer:
        nonlocal tries
        tries += 1
        if tries % asking.ATTEMPTS:
            raise error
        return real(look, *rest)  # type: ignore[arg-type]  # handed on as they came

    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    monkeypatch.setattr(asking, "_asked", asked)
    with held(path, "SELECT 1 FROM trade"):
        assert (await ask(path, COUNT)).rows == ((250, 250),)
        assert tries == asking.ATTEMPTS
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        with pytest.raises(sqlite3.OperationalError):
            await ask(path, COUNT)


async def test_wal_that_cannot_be_shared_is_told(tmp_path: Path) -> None:
    """To read it would mean to create a file that the application then may not open."""
    path = a_database(tmp_path / "ledger.db", WAL)
    with held(path, "PRAGMA locking_mode=exclusive", "DELETE FROM trade WHERE id = 1"):
        with pytest.raises(Exception, match="kept exclusively") as error:
            await ask(path, COUNT)
        assert SqliteFile(path).explain(error.value).reason is Reason.LOCKED


@pytest.mark.parametrize(
    "sql",
    [
        "insert into trade (note) values ('x')",
        "delete from trade",
        "drop table trade",
        "create temp table mine (id)",
        "attach 'other.db' as other",
        "pragma user_version = 9",
        "select * from pragma_user_version",
        "begin immediate",
        "commit",
        "vacuum into 'other.db'",
        "select load_extension('other')",
    ],
)
@pytest.mark.parametrize("mode", [ROLLBACK, WAL])
async def test_whatever_is_no_query_is_refused(tmp_path: Path, mode: str, sql: str) -> None:
    """And nothing is different afterwards."""
    path = a_database(tmp_path / "ledger.db", mode)
    before = contents(tmp_path)
    failure = await refusal(path, sql)
    assert failure.reason is Reason.QUERY
    assert "authoriz" in failure.detail
    assert contents(tmp_path) == before


async def test_write_is_refused_with_its_reason(tmp_path: Path) -> None:
    """In as many words."""
    assert await refusal(a_database(tmp_path / "ledger.db"), "delete from trade") == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("sql", "detail"),
    [
        ("select 1; select 2", "You can only execute one statement at a time."),
        ("select ?", "Incorrect number of bindings supplied. The current statement uses 1, and there are 0 supplied."),
        ("select\n  nope\nfrom trade", "no such column: nope (line 2, column 3)"),
        ("select t.nope from trade as t", "no such column: t.nope (line 1, column 10)"),
        ("select nope + nope from trade", "no such column: nope"),
        ("select * from nope", "no such table: nope (line 1, column 15)"),
        ("select count(* from trade", 'near "from": syntax error (line 1, column 16)'),
        ("select 'hunter2", 'unrecognized token: "?"'),
        ("select 1 'hunter2' 'hunter2'", 'near "?": syntax error'),
        ("select json('{hunter2')", "malformed JSON"),
    ],
)
async def test_error_says_what_and_where_but_no_literal(tmp_path: Path, sql: str, detail: str) -> None:
    """In SQLite's words, so that its author can mend it."""
    assert await refusal(a_database(tmp_path / "ledger.db"), sql) == Failure(reason=Reason.QUERY, detail=detail)


async def test_value_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    """No query of somebody's fills the daemon's memory."""
    assert await refusal(a_database(tmp_path / "ledger.db"), "select hex(zeroblob(16777216))") == Failure(
        reason=Reason.QUERY, detail="string or blob too big", hint="leave the large values out of the query"
    )


async def test_rows_are_bounded(tmp_path: Path) -> None:
    """The first so many, and that there are more."""
    path = a_database(tmp_path / "ledger.db")
    assert await ask(path, "select id from trade order by id", most_rows=2) == Answer(
        columns=("id",), rows=((1,), (2,)), more=True
    )
    assert not (await ask(path, "select id from trade where id < 3", most_rows=2)).more


async def test_query_is_interrupted_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread comes back, and the next query is answered."""
    monkeypatch.setattr("collectors.sqlite.file.PATIENCE", 100.0)
    source = SqliteFile(a_database(tmp_path / "ledger.db"))
    with pytest.raises(AskedError) as error:
        await source.ask(ENDLESS, timeout_seconds=0.1, most_rows=1)
    assert error.value.failure == Failure(reason=Reason.TIMEOUT, detail="interrupted", hint=SLOW)
    await eventually(lambda: source.blocking.under_way == 0)
    assert (await source.ask(COUNT, timeout_seconds=30.0, most_rows=1)).rows == ((250, 250),)


async def test_query_that_hears_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not called down for it: another query is answered meanwhile, the same one not begun again."""
    path = a_database(tmp_path / "ledger.db")
    source, loop, deaf = SqliteFile(path), asyncio.get_running_loop(), asyncio.Event()

    def hang(*_: object) -> Answer:
        asyncio.run_coroutine_threadsafe(deaf.wait(), loop).result()
        return Answer(columns=(), rows=())

    monkeypatch.setattr(asking, "answer_of", hang)
    with pytest.raises(AskedError) as error:
        await source.ask(COUNT, timeout_seconds=0.05, most_rows=1)
    assert error.value.failure == Failure(
        reason=Reason.TIMEOUT, detail="one step of the query took longer than its limit", hint=SLOW
    )
    monkeypatch.undo()
    assert (await source.ask("select 1 as one", timeout_seconds=30.0, most_rows=1)).rows == ((1,),)
    with pytest.raises(Exception, match="has not come back") as again:
        await source.ask(COUNT, timeout_seconds=30.0, most_rows=1)
    assert source.explain(again.value).reason is Reason.STUCK
    deaf.set()
    await eventually(lambda: source.blocking.under_way == 0)


async def test_abandoned_query_ends(tmp_path: Path) -> None:
    """As every other look."""
    source = SqliteFile(a_database(tmp_path / "ledger.db"))
    asked = asyncio.create_task(source.ask(ENDLESS, timeout_seconds=60.0, most_rows=1))
    await eventually(lambda: source.blocking.under_way == 1)
    source.abandon()
    with pytest.raises(AskedError) as error:
        await asked
    assert error.value.failure.reason is Reason.TIMEOUT


async def test_database_of_a_file_is_a_mistake(tmp_path: Path) -> None:
    """There is only one."""
    source = SqliteFile(a_database(tmp_path / "ledger.db"))
    with pytest.raises(AskedError) as error:
        await source.ask(COUNT, timeout_seconds=1.0, most_rows=1, database="shop")
    assert error.value.failure == Failure(
        reason=Reason.QUERY, detail="an SQLite file is one database", hint="leave `database` out of the entry"
    )


async def test_missing_file_is_the_targets_trouble(tmp_path: Path) -> None:
    """Not the query's."""
    with pytest.raises(FileNotFoundError) as error:
        await ask(tmp_path / "none.db", COUNT)
    assert SqliteFile(tmp_path).explain(error.value).down


async def test_damaged_file_is_the_targets_trouble(tmp_path: Path) -> None:
    """SQLite tells damage apart from what is wrong with the SQL."""
    path = a_database(tmp_path / "ledger.db")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(sqlite3.DatabaseError) as error:
        await ask(path, "select note from trade")
    assert SqliteFile(path).explain(error.value).reason is Reason.CORRUPT


async def test_full_text_search_is_answered(tmp_path: Path) -> None:
    """FTS5 asks SQLite for more than a plain table does."""
    path = a_database(tmp_path / "ledger.db")
    with closing(application(path)) as connection:
        options = {row[0] for row in connection.execute("PRAGMA compile_options")}
        if "ENABLE_FTS5" not in options:
            pytest.skip("this machine cannot: its SQLite has no FTS5")
        connection.execute("CREATE VIRTUAL TABLE note USING fts5(body)")
        connection.execute("INSERT INTO note VALUES ('sold short'), ('bought')")
    assert (await ask(path, "select count(*) as count from note where note match 'sold'")).rows == ((1,),)
