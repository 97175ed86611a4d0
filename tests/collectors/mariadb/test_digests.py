"""Statements by digest: exact counts, texts without literals, and what a restart or a TRUNCATE makes of them."""

from collections.abc import AsyncIterator

import pytest

from collectors.mariadb.digests import CALLS, EXAMINED, OTHERS, ROWS, DigestsSettings, MariadbDigests
from collectors.mariadb.server import MariadbServer
from tests.collectors.mariadb.watched import value, watching
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings
from toban.statements import StatementText, StatementUse

pytestmark = pytest.mark.integration


@pytest.fixture
def server(new_mariadb: NewMariadb) -> Mariadb:
    """One that keeps books."""
    made = new_mariadb(performance_schema="ON")
    made.sql("create database shop; create table shop.t (id int primary key, secret text)")
    made.sql("insert into shop.t values (1, 'a'), (2, 'b'), (3, 'c')")
    made.sql("create user toban; grant process on *.* to toban; grant select on performance_schema.* to toban")
    return made


@pytest.fixture
async def source(server: Mariadb) -> AsyncIterator[MariadbServer]:
    """The way in."""
    async with watching(server, user="toban") as one:
        yield one


def used(findings: Findings) -> dict[str, StatementUse]:
    """The use of statements in the schema `shop`, by their digest."""
    return {row.queryid: row for row in findings.rows if isinstance(row, StatementUse) and row.datname == "shop"}


def texts(findings: Findings) -> dict[str, str]:
    """What was told of texts."""
    return {row.queryid: row.text for row in findings.rows if isinstance(row, StatementText)}


async def test_calls_are_counted_exactly(server: Mariadb, source: MariadbServer) -> None:
    """Five of one statement between two readings, whatever its literals; their text without any."""
    collector = MariadbDigests(source, DigestsSettings(), source.clock)
    first = await collector.collect()
    assert not used(first)
    for number in range(5):
        server.sql(f"select secret from t where secret <> 'geheim{number}'", "shop")
    findings = await collector.collect()
    (use,) = [use for use in used(findings).values() if "`secret` FROM" in texts(findings)[use.queryid]]
    assert (use.calls, use.rows, use.usename, use.hit_blocks) == (5, 15, "", 0)
    assert use.seconds > 0
    assert value(findings, CALLS, "shop", use.queryid) == 5
    assert value(findings, ROWS, "shop", use.queryid) == 15
    assert value(findings, EXAMINED, "shop", use.queryid) == 15
    assert texts(findings)[use.queryid] == "SELECT `secret` FROM `t` WHERE `secret` != ?"
    assert "geheim" not in str(findings)
    assert use.queryid not in texts(await collector.collect())  # told once


async def test_what_has_no_series_is_summed_up(server: Mariadb, source: MariadbServer) -> None:
    """Two members at the most, the rest is `other`: the sum of all calls stays right."""
    collector = MariadbDigests(source, DigestsSettings(top=1), source.clock)
    await collector.collect()
    for name in "abcdef":
        server.sql(f"select 1 as {name}; select 1 as {name}", "shop")
    findings = await collector.collect()
    members = [s.labels for s in findings.samples if s.metric is CALLS]
    assert ("", "other") in members
    assert len(members) <= 3
    assert (value(findings, OTHERS) or 0) > 6
    uses = [row for row in findings.rows if isinstance(row, StatementUse)]
    assert next(row.calls for row in uses if row.queryid == "other") >= 10


async def test_truncate_makes_one_interval_unknown(server: Mariadb, source: MariadbServer) -> None:
    """No use rather than a wrong one; the next interval is known again."""
    collector = MariadbDigests(source, DigestsSettings(), source.clock)
    await collector.collect()
    server.sql("truncate performance_schema.events_statements_summary_by_digest; select 1", "shop")
    assert not [row for row in (await collector.collect()).rows if isinstance(row, StatementUse)]
    server.sql("select 1", "shop")
    assert [use.calls for use in used(await collector.collect()).values() if use.rows == 1][:1] == [1]


async def test_restart_makes_one_interval_unknown(server: Mariadb, source: MariadbServer) -> None:
    """The digests of the new process have another start."""
    collector = MariadbDigests(source, DigestsSettings(), source.clock)
    await eventually(lambda: int(server.sql("show global status like 'Uptime'").split()[1]) >= 3)
    await collector.collect()
    server.stop()
    server.start()
    server.sql("select 1", "shop")
    assert not [row for row in (await collector.collect()).rows if isinstance(row, StatementUse)]


async def test_switched_off_books_are_told_with_the_setting(new_mariadb: NewMariadb) -> None:
    """MariaDB ships performance_schema off."""
    server = new_mariadb()
    async with watching(server) as source:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it means, is the point
            await MariadbDigests(source, DigestsSettings(), source.clock).collect()
        failure = source.explain(caught.value)
    assert (failure.reason, failure.down) == (Reason.EXTENSION_MISSING, False)
    assert "performance_schema = ON" in failure.hint


async def test_switched_off_consumer_is_told(server: Mariadb, source: MariadbServer) -> None:
    """The books are there, but this page of them is not written."""
    server.sql("update performance_schema.setup_consumers set enabled = 'NO' where name = 'statements_digest'")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it means, is the point
        await MariadbDigests(source, DigestsSettings(), source.clock).collect()
    assert "statements-digest" in source.explain(caught.value).hint


async def test_digests_without_room_are_told(new_mariadb: NewMariadb) -> None:
    """Five rows are full at once: what comes then stands in one row without a digest."""
    server = new_mariadb(performance_schema="ON", performance_schema_digests_size="5")
    async with watching(server) as source:
        collector = MariadbDigests(source, DigestsSettings(), source.clock)
        await collector.collect()
        for name in "abcdefgh":
            server.sql(f"select 1 as {name}", "mysql")
        findings = await collector.collect()
    (gap,) = findings.gaps
    assert (gap.what, gap.reason, gap.count >= 8) == ("calls of statements", Reason.FULL, True)
    assert "performance_schema_digests_size" in gap.hint
    assert (value(findings, CALLS, "", "lost") or 0) >= 8
    assert "lost" not in texts(findings)


async def test_names_of_what_is_gone_are_not_kept(server: Mariadb, source: MariadbServer) -> None:
    """Books that are emptied again and again cost no memory; a schema that stays keeps its series."""
    collector = MariadbDigests(source, DigestsSettings(), source.clock)
    told = []
    for number in range(3):
        server.sql("truncate performance_schema.events_statements_summary_by_digest")
        server.sql(f"create schema s{number}; use s{number}; select 1 as a{number}; drop schema s{number}", "shop")
        told.append(await collector.collect())
    assert {name for name in collector._numbers if name.startswith("s")} == {"shop", "s2"}
    assert len(set(collector._numbers.values())) == len(collector._numbers)
    assert {s.labels for s in told[-1].samples if s.metric is CALLS and s.labels[0] == "s2"}
