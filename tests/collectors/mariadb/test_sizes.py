"""Sizes of schemas and tables: what is measured, what is shared out, and what had to be left out and why."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from collectors.mariadb.failures import ServerError
from collectors.mariadb.sizes import (
    OTHERS,
    SCHEMA_SIZE,
    SKIPPED,
    TABLE_ROWS,
    TABLE_SIZE,
    MariadbSizes,
    SizesSettings,
)
from tests.builders import ManualClock
from tests.collectors.mariadb.watched import a_server, session, value, watching
from tests.mariadbs import ABSENCE, Mariadb, installed
from tests.waiting import eventually
from toban.outcomes import Failure, Reason

pytestmark = pytest.mark.integration
PAGE = 16384


@pytest.fixture(scope="module")
def running() -> Iterator[Mariadb]:
    """One for these tests alone: they count its schemas, and stop it in mid-breath."""
    if not installed():
        pytest.skip(ABSENCE)
    made = Mariadb()
    try:
        made.start()
        made.sql("create user toban; grant show view on *.* to toban")
        yield made
    finally:
        made.remove()


@pytest.fixture
def server(running: Mariadb) -> Mariadb:
    """With a schema of eight tables: `large`, and seven that are empty."""
    for number in running.sql("select id from information_schema.processlist where db = 'shop'").split():
        with suppress(RuntimeError):  # it has gone by itself
            running.sql(f"kill {number}")
    running.sql("create or replace database shop")
    running.sql("create table shop.large (id int primary key, x int, key (x)) engine = innodb")
    running.sql("insert into shop.large select seq, seq from seq_1_to_5000; analyze table shop.large", "mysql")
    running.sql(";".join(f"create table shop.empty{n} (id int primary key) engine = innodb" for n in range(7)))
    return running


async def test_sizes_are_the_servers_own(server: Mariadb) -> None:
    """Data and indexes of the largest table by themselves, the others summed up, and the schema's sum."""
    async with watching(server, user="toban") as source:
        findings = await MariadbSizes(source, SizesSettings(top=1, pause=0.001), source.clock).collect()
    data, indexes = map(
        int,
        server.sql(
            "select data_length, index_length from information_schema.tables where table_name = 'large'"
        ).split(),
    )
    assert data > PAGE
    assert value(findings, TABLE_SIZE, "shop", "large", "data_length") == data
    assert value(findings, TABLE_SIZE, "shop", "large", "index_length") == indexes
    assert value(findings, TABLE_ROWS, "shop", "large") == 5000
    assert value(findings, TABLE_SIZE, "shop", "other", "data_length") == 7 * PAGE
    assert value(findings, OTHERS, "shop") == 7
    assert value(findings, SCHEMA_SIZE, "shop") == data + indexes + 7 * PAGE
    assert value(findings, SCHEMA_SIZE, "mysql") is not None
    assert findings.gaps == ()


async def test_table_called_other_is_told_from_the_rest(server: Mariadb) -> None:
    """Its series does not clash with the sum of the others."""
    server.sql("rename table shop.large to shop.other")
    async with watching(server, user="toban") as source:
        findings = await MariadbSizes(source, SizesSettings(top=1), source.clock).collect()
    assert value(findings, TABLE_ROWS, "shop", "`other`") == 5000
    assert value(findings, OTHERS, "shop") == 7


async def test_role_that_sees_no_tables_is_told(server: Mariadb) -> None:
    """Without a privilege on them tables do not exist for a role."""
    server.sql("create user poor")
    async with watching(server, user="poor") as source:
        findings = await MariadbSizes(source, SizesSettings(), source.clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("tables of others", Reason.PRIVILEGE)]
    assert value(findings, SCHEMA_SIZE, "shop") is None


async def test_role_that_sees_tables_is_not_told_otherwise(server: Mariadb) -> None:
    """By a role that was granted to it, or under a name with an @."""
    server.sql("create role watcher; grant select on *.* to watcher; create user granted; grant watcher to granted")
    server.sql("set default role watcher for granted; create user 'a@b'; grant show view on *.* to 'a@b'")
    for user in ("granted", "a%40b"):
        async with watching(server, user=user) as source:
            findings = await MariadbSizes(source, SizesSettings(), source.clock).collect()
        assert findings.gaps == ()
        assert value(findings, SCHEMA_SIZE, "shop") is not None


async def test_table_that_is_being_changed_is_left_out_and_counted(server: Mariadb) -> None:
    """The server shows it without an engine, and does not wait."""
    with session(server, "shop") as other:
        other.say("create table slow engine = innodb as select sleep(30) as x")
        await eventually(lambda: server.sql("show tables in shop like 'slow'") == "slow")
        async with watching(server, user="toban") as source:
            findings = await MariadbSizes(source, SizesSettings(top=100), source.clock).collect()
    assert value(findings, SKIPPED, "shop", Reason.LOCKED) == 1
    assert [(gap.reason, gap.count) for gap in findings.gaps] == [(Reason.LOCKED, 1)]
    assert value(findings, TABLE_ROWS, "shop", "slow") is None
    assert value(findings, TABLE_ROWS, "shop", "large") == 5000
    assert value(findings, SCHEMA_SIZE, "shop") is None  # without that table the sum would be too small
    assert value(findings, SCHEMA_SIZE, "mysql") is not None


async def test_schema_that_takes_too_long_is_a_gap(server: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are measured all the same."""
    async with watching(server, user="toban") as source:
        original = source.fetch

        async def fetch(query: object, *values: object) -> object:
            if values[:1] == ("mysql",):
                raise ServerError(1969, Failure(reason=Reason.TIMEOUT, detail="too long"))
            return await original(query, *values)  # type: ignore[arg-type]

        monkeypatch.setattr(source, "fetch", fetch)
        findings = await MariadbSizes(source, SizesSettings(), source.clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("sizes of mysql", Reason.TIMEOUT)]
    assert value(findings, SKIPPED, "mysql", Reason.TIMEOUT) == 1
    assert value(findings, SCHEMA_SIZE, "shop") is not None


async def test_server_that_goes_ends_the_turn(server: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no schema's fault."""
    source = a_server(server.dsn(user="toban"), statement_timeout=1.0)
    original = source.fetch

    async def fetch(query: object, *values: object) -> object:
        if values:
            server.freeze()
        return await original(query, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "fetch", fetch)
    with pytest.raises(ServerError) as caught:
        await MariadbSizes(source, SizesSettings(), source.clock).collect()
    server.thaw()
    assert caught.value.failure.reason is Reason.UNANSWERED
    source.abandon()


async def test_schemas_beyond_the_turn_come_first_in_the_next(server: Mariadb, manual_clock: ManualClock) -> None:
    """What was measured stays; what was not is a gap until its turn; a schema that goes is forgotten."""
    async with watching(server, user="toban", clock=manual_clock) as source:
        collector = MariadbSizes(source, SizesSettings(timeout=10.0), manual_clock)
        original = source.fetch

        async def slowly(query: object, *values: object) -> object:
            manual_clock.advance(8 if values else 0)
            return await original(query, *values)  # type: ignore[arg-type]

        source.fetch = slowly  # type: ignore[method-assign,assignment]
        first = await collector.collect()
        second = await collector.collect()
        server.sql("drop database shop")
        third = await collector.collect()
    assert value(first, SCHEMA_SIZE, "mysql") is not None
    assert value(first, SCHEMA_SIZE, "shop") is None
    assert [(gap.reason, gap.detail) for gap in first.gaps] == [
        (Reason.TIMEOUT, "the turn's time ran out; shop comes first in the next turn")
    ]
    assert value(second, SCHEMA_SIZE, "shop") is not None
    assert value(second, SCHEMA_SIZE, "mysql") is not None
    assert value(third, SCHEMA_SIZE, "shop") is None


async def test_schemas_beyond_the_limit_are_told(server: Mariadb) -> None:
    """Bounded series, and the setting that raises the bound."""
    async with watching(server, user="toban") as source:
        findings = await MariadbSizes(source, SizesSettings(schemas=1), source.clock).collect()
    assert value(findings, SCHEMA_SIZE, "shop") is None
    assert [(gap.what, gap.count, gap.reason) for gap in findings.gaps] == [("schemas", 1, Reason.FULL)]
