"""The texts of statements on a real server: rarely asked for, cut, and without literals."""

import pytest

from collectors.postgresql import statement_texts
from collectors.postgresql.sql import Query
from collectors.postgresql.statements import CALLS
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.counting import a_counting_cluster, measured, queryid_of, rows_of
from tests.collectors.postgresql.measuring import ask, series, watching
from tests.conftest import NewCluster
from toban.statements import StatementText

pytestmark = pytest.mark.integration


@pytest.fixture
async def cluster(new_cluster: NewCluster) -> Cluster:
    """A server that counts statements, for one test."""
    return await a_counting_cluster(new_cluster)


async def test_texts_come_once_normalised_and_cut(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A text is handed on when its statement is new, with parameters for literals, of 2000 characters at most."""
    await cluster.execute("INSERT INTO t VALUES (4711, 'geheim')")
    await cluster.execute("SELECT " + ", ".join(f"1 AS column_with_a_long_name_{n}" for n in range(200)))
    async with measured(cluster, manual_clock) as collector:
        texts = {row.queryid: row.text for row in rows_of(StatementText, await collector.collect())}
        assert texts[await queryid_of(cluster, "INSERT INTO t%")] == "INSERT INTO t VALUES ($1, $2)"
        assert max(map(len, texts.values())) == statement_texts.TEXT_LENGTH
        manual_clock.advance(60)
        again = {row.queryid for row in rows_of(StatementText, await collector.collect())}
        assert not again & texts.keys()
        kept, queryid = statement_texts.Texts(collector.source, 0.0), int(next(iter(texts)))
        for needed, count in (({queryid}, 1), ({queryid}, 0), (set[int](), 0), ({queryid}, 1)):
            assert len((await kept.fetch("public", needed, manual_clock.monotonic()))[0]) == count


async def test_texts_of_commands_carry_no_literal(cluster: Cluster, manual_clock: ManualClock) -> None:
    """What the server does not normalise, a password in CREATE ROLE above all, is blotted."""
    await cluster.execute("CREATE ROLE keeper PASSWORD 'geheim-1'")
    await cluster.execute("SET app.token = geheim2")
    await cluster.execute("COMMENT ON TABLE t IS E'geheim\\'3'")
    await cluster.execute("DO $x$ BEGIN PERFORM 'geheim-4'; END $x$")
    async with measured(cluster, manual_clock) as collector:
        texts = [row.text for row in rows_of(StatementText, await collector.collect())]
        assert "CREATE ROLE keeper PASSWORD ?" in texts
        assert "SET app.token = ?" in texts
        assert "DO ?" in texts
        assert not any("geheim" in text for text in texts)


async def test_texts_of_new_statements_wait_a_minute(cluster: Cluster, manual_clock: ManualClock) -> None:
    """The file of texts is not read for each new statement at once."""
    async with measured(cluster, manual_clock) as collector:
        await collector.collect()
        await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(15)
        assert rows_of(StatementText, await collector.collect()) == []
        manual_clock.advance(45)
        assert "INSERT INTO t VALUES ($1)" in {r.text for r in rows_of(StatementText, await collector.collect())}


async def test_texts_that_cannot_be_read_leave_the_numbers_good(
    cluster: Cluster, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the question for texts fails, its gap says so, and the counters are there."""
    monkeypatch.setattr(statement_texts, "TEXT_LENGTH", 2**31 - 1)
    monkeypatch.setattr(statement_texts, "_TEXTS", Failing("statement_texts"))
    async with measured(cluster, manual_clock) as collector:
        findings = await collector.collect()
        assert [gap.what for gap in findings.gaps] == ["statement texts"]
        assert series(findings, CALLS)


class Failing(Query):
    """The same question, on which the server fails."""

    def text(self, version: int) -> str:
        """The SQL, with a division by zero for each text."""
        return super().text(version).replace("left(query, $2)", "repeat('x', 1 / ($2::int - 2147483647))")


async def test_texts_not_found_are_asked_for_again_slowly(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A statement that was evicted before its text was read is asked for every ten minutes, not every turn."""
    async with watching(cluster, manual_clock) as server:
        texts = statement_texts.Texts(server, 60.0)
        asked: list[bool] = []
        for at in (0.0, 60.0, 599.0, 600.0):
            before = await calls_of_texts(cluster)
            assert await texts.fetch("public", {4711}, at) == ([], [])
            asked.append(await calls_of_texts(cluster) > before)
        assert asked == [True, False, False, True]


async def calls_of_texts(cluster: Cluster) -> int:
    """How often the server was asked for texts."""
    sql = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE query LIKE '%texts of a few statements%'"
    return int(await ask(cluster, sql + " AND query NOT LIKE '%coalesce(sum%'"))
