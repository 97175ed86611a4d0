"""Questions to a restored server, asked of the one that the tests share."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from backup.engines.contract import Surroundings
from backup.engines.dumping.counting import LARGE_OBJECTS
from backup.errors import BackupError
from backup.proof import looking
from backup.proof.answers import databases_there
from backup.proof.configuration import PATIENT
from backup.proof.course import Course
from backup.proof.looking import all_asserted, all_read, counted, databases_in, uncounted
from backup.proof.rows import compared
from backup.proof.scratch import ScratchServer
from backup.settings import Assertion
from tests.backup.proof.scenes import StandIn, a_proving, a_record, server_of, some_rows
from tests.clusters import Cluster
from toban.backups import Progress, TableRows, Trouble

pytestmark = pytest.mark.integration


@pytest.fixture
def server(postgres15: Cluster, tmp_path: Path) -> ScratchServer:
    """The shared server, as if it had been restored."""
    return server_of(postgres15, tmp_path)


def asked(database: str, **questions: str) -> list[Assertion]:
    """These assertions; one that is called slow has no time."""
    return [
        Assertion.model_validate(
            {"name": name, "sql": sql, "database": database, "timeout": "100ms" if name == "slow" else "30s"}
        )
        for name, sql in questions.items()
    ]


async def test_rows_are_counted_in_each_table_alone(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """What children of a table hold is theirs; what is absent is left out; an absent database as well."""
    postgres15.psql(
        'CREATE TABLE "a ""b"" 店" (n int); INSERT INTO "a ""b"" 店" VALUES (1), (2);'
        'CREATE TABLE child () INHERITS ("a ""b"" 店"); INSERT INTO child VALUES (3)',
        unique_database,
    )
    promised = some_rows(unique_database, **{'a "b" 店': 2, "child": 1, "gone": 1}) + some_rows("nowhere", item=1)
    found = await counted(server, promised, exact=True, tell=lambda _: None)
    assert {table[2]: number.rows for table, number in found.items()} == {'a "b" 店': 2, "child": 1}
    assert compared(promised, found, tolerance=0.2).ok is False


async def test_large_objects_are_counted_as_the_dump_counts_them(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """By their list, which is a table of the catalog."""
    postgres15.psql("SELECT lo_create(0); SELECT lo_create(0)", unique_database)
    schema, name = LARGE_OBJECTS
    promised = [TableRows(database=unique_database, schema=schema, table=name, rows=2)]
    found = await counted(server, promised, exact=True, tell=lambda _: None)
    assert compared(promised, found, tolerance=0.2).ok is True


async def test_tables_that_nobody_has_counted_are_named(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """Beside those that the backup counted; the catalog's are none of them."""
    postgres15.psql("CREATE TABLE item (n int); CREATE TABLE parts (n int) PARTITION BY LIST (n)", unique_database)
    postgres15.psql("CREATE TABLE part PARTITION OF parts DEFAULT", unique_database)
    found = await uncounted(server, (unique_database,), some_rows(unique_database, item=0))
    assert found == [f"{unique_database}: public.part"]


async def test_no_setting_of_a_database_hides_what_is_damaged(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """Somebody let the old server pass over bad pages: read so, a spoiled table is whole, and empty."""
    for setting in ("zero_damaged_pages", "ignore_checksum_failure"):
        postgres15.psql(f"ALTER DATABASE {unique_database} SET {setting} = on")
        async with server.way.connected(unique_database, settings=PATIENT) as connection:
            assert await connection.fetchval("SELECT current_setting($1)", setting) == "off"


async def test_rows_are_estimated_by_the_statistics(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """ANALYZE knows a small table exactly, and still it counts as an estimate."""
    postgres15.psql("CREATE TABLE item AS SELECT generate_series(1, 300)", unique_database)
    promised = some_rows(unique_database, item=330)
    found = await counted(server, promised, exact=False, tell=lambda _: None)
    assert [(one.rows, one.exact) for one in found.values()] == [(300, False)]
    assert compared(promised, found, tolerance=0.2).ok is True


async def test_rows_that_cannot_be_counted_say_why(
    server: ScratchServer, postgres15: Cluster, unique_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that somebody holds is no damage."""
    postgres15.psql("CREATE TABLE item (n int)", unique_database)
    monkeypatch.setattr(looking, "PATIENT", {"lock_timeout": "10ms"})
    other = await postgres15.connect(unique_database)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE item")
            found = await counted(server, some_rows(unique_database, item=0), exact=True, tell=lambda _: None)
    finally:
        await other.close()
    ((_, number),) = found.items()
    assert (number.rows, number.ok) == (None, None)
    assert number.why == "cannot be counted: canceling statement due to lock timeout"


async def test_database_that_did_not_come_back_is_damage(
    around: Surroundings, server: ScratchServer, unique_database: str
) -> None:
    """It was in the backup, and is not in the server; the others are gone on with."""
    record = a_record(databases=(unique_database, "nowhere"))
    course = Course(around.clock, lambda _: None)
    found = await databases_there(a_proving(around, record, StandIn()), server, course)
    assert found == (unique_database,)
    assert [(check.name, check.ok, check.detail) for check in course.checks] == [
        ("databases", False, "not there: nowhere")
    ]


async def test_every_table_is_read_and_what_cannot_be_is_told(
    server: ScratchServer, postgres15: Cluster, unique_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables, filled views and the catalog; a table that is locked says so and keeps nobody from the next."""
    postgres15.psql("CREATE TABLE item AS SELECT generate_series(1, 300); CREATE TABLE held (n int)", unique_database)
    monkeypatch.setattr(looking, "PATIENT", {"lock_timeout": "10ms"})
    told: list[Progress] = []
    other = await postgres15.connect(unique_database)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE held")
            check = await all_read(server, told.append)
    finally:
        await other.close()
    assert check.ok is None
    assert f'{unique_database}: "public"."held" cannot be read: canceling statement' in check.detail
    assert f'{unique_database}: "public"."item"' in {one.what for one in told}
    assert f'{unique_database}: "pg_catalog"."pg_class"' in {one.what for one in told}


async def test_reading_ends_where_too_much_cannot_be_read(
    server: ScratchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No way into any database, and a bound on what is tried: five are named."""

    async def fails(connection: Any, name: str, *, is_view: bool) -> int:  # noqa: ANN401 - as it is called
        raise asyncpg.DataCorruptedError("invalid page")

    monkeypatch.setattr(looking, "_read", fails)
    monkeypatch.setattr(looking, "MOST_FAULTS", 7)
    check = await all_read(server, lambda _: None)
    assert check.ok is False
    assert check.detail.count("cannot be read: invalid page") == 5
    assert check.detail.endswith("; and 2 more tables")


async def test_catalog_that_cannot_be_read_is_damage(server: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a way in, and then not even a list of what there is."""

    async def torn(*_: Any) -> tuple[int, int]:  # noqa: ANN401 - as it is called
        raise asyncpg.DataCorruptedError("invalid page in block 3 of relation base/5/1259")

    monkeypatch.setattr(looking, "_read_database", torn)
    check = await all_read(server, lambda _: None)
    assert check.ok is False
    assert check.detail.startswith("postgres: its catalog: invalid page in block 3")


async def test_server_that_goes_away_is_told(server: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is read; and no way into a database is a fault of that one alone."""

    async def lost(*_: Any) -> tuple[int, int]:  # noqa: ANN401 - as it is called
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def closed(*_: Any) -> tuple[int, int]:  # noqa: ANN401 - as it is called
        raise BackupError("postgresql://…", "too many connections", trouble=Trouble.UNREACHABLE)

    monkeypatch.setattr(looking, "_read_database", lost)
    check = await all_read(server, lambda _: None)
    assert (check.ok, check.detail.partition(": ")[2]) == (
        None,
        "the server went away: connection was closed in the middle of operation",
    )
    monkeypatch.setattr(looking, "_read_database", closed)
    check = await all_read(server, lambda _: None)
    assert check.ok is None
    assert check.detail.count("too many connections") == min(5, len(await databases_in(server, templates=True)))


async def test_assertions_that_do_not_hold_fail_or_stall_are_told_apart(
    server: ScratchServer, postgres15: Cluster, unique_database: str
) -> None:
    """False is damage; a mistake in it, no row, a write and one that takes too long decide nothing."""
    postgres15.psql("CREATE TABLE item AS SELECT generate_series(1, 300)", unique_database)
    assertions = asked(
        unique_database,
        holds="SELECT count(*) = 300 FROM item",
        off="SELECT count(*) = 1 FROM item",
        wrong="SELECT nothing FROM nowhere",
        none="SELECT true WHERE false",
        many="SELECT true FROM pg_class a, pg_class b, pg_class c",
        slow="SELECT pg_sleep(60) IS NOT NULL",
        writes="DELETE FROM item RETURNING true",
        says="DO $$ BEGIN END $$",
    )
    assertions += asked("gone", elsewhere="SELECT true")
    found = {check.name.removeprefix("assertion "): check for check in await all_asserted(server, assertions, ())}
    assert {name: check.ok for name, check in found.items() if check.ok is not None} == {"holds": True, "off": False}
    details = {name: check.detail.partition(": ")[2] for name, check in found.items()}
    assert details["off"] == "is false"
    assert details["wrong"] == 'failed: relation "nowhere" does not exist'
    assert details["none"].startswith("brought 0 rows")
    assert details["many"].startswith("brought 2 rows")
    assert details["slow"] == "no answer within 0 s"
    assert details["writes"] == "failed: cannot execute DELETE in a read-only transaction"
    assert details["says"].startswith("brought 0 rows")
    assert details["elsewhere"] == 'database "gone" does not exist'


async def test_error_of_the_driver_tells_damage_from_the_rest(server: ScratchServer) -> None:
    """A catalog that cannot be read is damage; a lost connection is not."""
    with pytest.raises(BackupError) as caught, looking.heard():
        raise asyncpg.DataCorruptedError("invalid page in block 0 of relation base/1/1259")
    assert caught.value.trouble is Trouble.DAMAGED
    with pytest.raises(BackupError) as caught, looking.heard():
        raise asyncpg.UndefinedTableError('relation "x" does not exist')
    assert caught.value.trouble is Trouble.TOOL
    with pytest.raises(BackupError) as caught, looking.heard():
        raise asyncpg.InterfaceError("connection is closed")
    assert caught.value.trouble is Trouble.UNREACHABLE
    with pytest.raises(BackupError) as caught, looking.heard():
        raise BackupError("postgresql://…", "invalid page in block 0 of relation 1/1", trouble=Trouble.UNREACHABLE)
    assert caught.value.trouble is Trouble.DAMAGED
    with pytest.raises(BackupError) as caught, looking.heard():
        raise BackupError("postgresql://…", "connection refused", trouble=Trouble.UNREACHABLE)
    assert caught.value.why == "connection refused"
