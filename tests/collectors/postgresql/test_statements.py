"""pg_stat_statements on real servers: its counters, its uses, its texts, and what becomes of them when it is broken."""

from collections.abc import Mapping

import asyncpg
import pytest

from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from collectors.postgresql.statements import (
    CALLS,
    DEALLOCATIONS,
    NAMES_SECONDS,
    OTHER,
    OTHERS,
    RECHECK_SECONDS,
    ROWS,
    SECONDS,
    ExtensionError,
    Statements,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.counting import (
    PRELOADED,
    a_counting_cluster,
    different,
    measured,
    queryid_of,
    rows_of,
    use_of,
)
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster
from toban.outcomes import Reason
from toban.statements import StatementUse

pytestmark = pytest.mark.integration

ODD = 'a"b\n🐘'


@pytest.fixture
async def cluster(new_cluster: NewCluster) -> Cluster:
    """A server that counts statements, for one test."""
    return await a_counting_cluster(new_cluster)


async def reason_of(collector: Statements) -> tuple[Reason, str]:
    """The typed reason and the hint for which a turn fails."""
    with pytest.raises((ExtensionError, asyncpg.PostgresError)) as caught:
        await collector.collect()
    failure = collector.source.explain(caught.value)
    return failure.reason, failure.hint


async def test_statements_show_the_servers_own_counters(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A member's series equal what pg_stat_statements says, from the first turn on."""
    async with measured(cluster, manual_clock) as collector:
        for _ in range(3):
            await cluster.execute("INSERT INTO t SELECT generate_series(1, 5)")
        findings = await collector.collect()
        labels = (await queryid_of(cluster, "INSERT INTO t%"), "postgres", "postgres")
        assert value(findings, CALLS, *labels) == 3
        assert value(findings, ROWS, *labels) == 15
        assert 0 < (value(findings, SECONDS, *labels) or 0) < 10
        assert rows_of(StatementUse, findings) == []
        assert findings.gaps == ()


async def test_statements_tell_the_use_of_an_interval(cluster: Cluster, manual_clock: ManualClock) -> None:
    """The second turn says what came since the first, over the seconds that have passed."""
    async with measured(cluster, manual_clock) as collector:
        await cluster.execute("INSERT INTO t VALUES (1)")
        await collector.collect()
        manual_clock.advance(61)
        await cluster.execute("INSERT INTO t VALUES (2)")
        await cluster.execute("INSERT INTO t VALUES (3)")
        use = use_of(await collector.collect(), await queryid_of(cluster, "INSERT INTO t%"))
        assert use is not None
        assert (use.calls, use.rows, use.interval_seconds) == (2, 2, 61)
        assert (use.datname, use.usename) == ("postgres", "postgres")


async def test_statements_of_a_turn_that_failed_belong_to_the_next(
    cluster: Cluster, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counters were read, the names were not: the day's list of the slow ones must not miss that interval."""
    async with measured(cluster, manual_clock) as collector:
        await collector.collect()
        await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(60)
        with monkeypatch.context() as broken:
            broken.setattr(collector, "_names", None)
            with pytest.raises(AttributeError):
                await collector.collect()
        await cluster.execute("INSERT INTO t VALUES (2)")
        manual_clock.advance(60)
        use = use_of(await collector.collect(), await queryid_of(cluster, "INSERT INTO t%"))
        assert use is not None
        assert (use.calls, use.interval_seconds) == (2, 120)


@pytest.mark.parametrize("reset", ["", "0, 0, {queryid}"])
async def test_statements_take_a_reset_for_what_it_is(cluster: Cluster, manual_clock: ManualClock, reset: str) -> None:
    """After a reset of everything, or of one statement, the use is what was counted since: not negative, no spike."""
    async with measured(cluster, manual_clock) as collector:
        for _ in range(5):
            await cluster.execute("INSERT INTO t VALUES (1)")
        await collector.collect()
        queryid = await queryid_of(cluster, "INSERT INTO t%")
        await cluster.execute(f"SELECT pg_stat_statements_reset({reset.format(queryid=queryid)})")
        await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(60)
        findings = await collector.collect()
        use = use_of(findings, queryid)
        assert use is not None
        assert use.calls == 1
        assert value(findings, CALLS, queryid, "postgres", "postgres") == 1
        assert all(row.calls >= 0 and row.seconds >= 0 for row in rows_of(StatementUse, findings))


async def test_statements_survive_eviction(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """With room for 100 statements and many more of them, nothing is negative, `other` grows, and evictions count."""
    cluster = new_cluster(15, settings={**PRELOADED, "pg_stat_statements.max": "100"})
    await cluster.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE t (a int, b text)")
    async with measured(cluster, manual_clock, top=3) as collector:
        others, evictions = [], 0.0
        for turn in range(4):
            await cluster.execute(different(150, turn))
            manual_clock.advance(60)
            findings = await collector.collect()
            others.append(value(findings, CALLS, OTHER, "", "") or 0)
            used = rows_of(StatementUse, findings)
            assert all(0 < row.calls <= 200 for row in used)
            assert len(series(findings, CALLS)) <= 2 * 3 + 1
            evictions = value(findings, DEALLOCATIONS) or 0
        assert others == sorted(others)
        assert others[-1] > 100
        assert evictions > 0


async def test_statements_go_on_over_a_restart(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A server that stops in order keeps its counters, and the interval spans the restart."""
    async with measured(cluster, manual_clock) as collector:
        await cluster.execute("INSERT INTO t VALUES (1)")
        await collector.collect()
        cluster.stop()
        cluster.start()
        await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(60)
        use = use_of(await collector.collect(), await queryid_of(cluster, "INSERT INTO t%"))
        assert use is not None
        assert use.calls == 1


async def test_statements_begin_anew_after_a_crash(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A killed server loses its counters: what it counted since is the use, though it is more than before."""
    async with measured(cluster, manual_clock) as collector:
        await cluster.execute("INSERT INTO t VALUES (1)")
        await collector.collect()
        queryid = await queryid_of(cluster, "INSERT INTO t%")
        cluster.kill()
        cluster.start()
        for _ in range(4):
            await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(60)
        use = use_of(await collector.collect(), queryid)
        assert use is not None
        assert use.calls == 4


async def test_statements_read_an_extension_that_was_never_updated(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Version 1.8 on a server 15: counters and uses are there, evictions are not known."""
    cluster = new_cluster(15, settings=PRELOADED)
    await cluster.execute("CREATE EXTENSION pg_stat_statements VERSION '1.8'; CREATE TABLE t (a int)")
    async with measured(cluster, manual_clock) as collector:
        await cluster.execute("INSERT INTO t VALUES (1)")
        await collector.collect()
        await cluster.execute("INSERT INTO t VALUES (1)")
        manual_clock.advance(60)
        findings = await collector.collect()
        use = use_of(findings, await queryid_of(cluster, "INSERT INTO t%"))
        assert use is not None
        assert use.calls == 1
        assert value(findings, DEALLOCATIONS) is None


async def test_statements_follow_an_update_of_the_extension(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Too old is said with the mend; once updated, the extension is found at the next look."""
    cluster = new_cluster(15, settings=PRELOADED)
    await cluster.execute("CREATE EXTENSION pg_stat_statements VERSION '1.7'")
    async with measured(cluster, manual_clock) as collector:
        reason, hint = await reason_of(collector)
        assert reason is Reason.EXTENSION_OLD
        assert "ALTER EXTENSION pg_stat_statements UPDATE" in hint
        await cluster.execute("ALTER EXTENSION pg_stat_statements UPDATE")
        manual_clock.advance(RECHECK_SECONDS)
        assert (await collector.collect()).samples


async def test_statements_without_the_extension_are_looked_for_seldom(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Missing is a typed reason with its mend, leaves no error in the server's log, and is looked for again slowly."""
    cluster = new_cluster(15, settings=PRELOADED)
    async with measured(cluster, manual_clock) as collector:
        reason, hint = await reason_of(collector)
        assert reason is Reason.EXTENSION_MISSING
        assert "toban setup postgresql" in hint
        await cluster.execute("CREATE EXTENSION pg_stat_statements")
        manual_clock.advance(RECHECK_SECONDS - 1)
        assert (await reason_of(collector))[0] is Reason.EXTENSION_MISSING
        manual_clock.advance(1)
        assert (await collector.collect()).samples
        assert "ERROR" not in cluster.log_text()


async def test_statements_without_the_library_are_not_asked_for(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Installed but not preloaded: the reason says what to set, a setting of that name does not deceive, no error."""
    cluster = new_cluster(15, settings={"pg_stat_statements.max": "100"})
    await cluster.execute("CREATE EXTENSION pg_stat_statements")
    async with measured(cluster, manual_clock) as collector:
        reason, hint = await reason_of(collector)
        assert reason is Reason.EXTENSION_MISSING
        assert "shared_preload_libraries" in hint
        assert "ERROR" not in cluster.log_text()


async def test_statements_notice_that_the_extension_went(cluster: Cluster, manual_clock: ManualClock) -> None:
    """Dropped between two turns: one failed question, and then none until it is looked for again."""
    async with measured(cluster, manual_clock) as collector:
        await collector.collect()
        await cluster.execute("DROP EXTENSION pg_stat_statements")
        for _ in range(3):
            assert (await reason_of(collector))[0] in {Reason.EXTENSION_MISSING, Reason.EXTENSION_OLD}
            manual_clock.advance(60)
        assert cluster.log_text().count("ERROR") == 1


async def test_statements_find_the_extension_in_any_schema(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Whatever the schema is called, it is quoted."""
    cluster = new_cluster(15, settings=PRELOADED)
    name = ODD.replace('"', '""')
    await cluster.execute(f'CREATE SCHEMA "{name}"')
    await cluster.execute(f'CREATE EXTENSION pg_stat_statements SCHEMA "{name}"')
    async with measured(cluster, manual_clock) as collector:
        assert series(await collector.collect(), CALLS)


async def test_statements_name_odd_roles_and_databases(cluster: Cluster, manual_clock: ManualClock) -> None:
    """Quotes, newlines, emoji and 63 bytes of Japanese are names; what is dropped is called by its number."""
    japanese = "表" * 21
    await cluster.execute(f'CREATE DATABASE "{japanese}"')
    await cluster.execute('CREATE ROLE "{}" LOGIN SUPERUSER'.format(ODD.replace('"', '""')))
    connection = await cluster.connect(japanese, user=ODD)
    await connection.execute("SELECT 1 AS odd")
    oid = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    await connection.close()
    async with measured(cluster, manual_clock) as collector:
        findings = await collector.collect()
        queryid = await queryid_of(cluster, "SELECT $1 AS odd")
        assert value(findings, CALLS, queryid, japanese, ODD) == 1
        await cluster.execute(f'DROP DATABASE "{japanese}" WITH (FORCE)')
        manual_clock.advance(NAMES_SECONDS)
        connection = await cluster.connect(user=ODD)
        await connection.execute("SELECT 1 AS odd")
        await connection.close()
        assert value(await collector.collect(), CALLS, queryid, str(oid), ODD) in {1, None}


async def test_statements_of_others_need_a_privilege(cluster: Cluster, manual_clock: ManualClock) -> None:
    """A plain role sees its own, and is told how many are hidden; with pg_monitor nothing is, and nothing spikes."""
    await cluster.execute("CREATE ROLE plain LOGIN")
    for _ in range(7):
        await cluster.execute("INSERT INTO t VALUES (1)")
    async with measured(cluster, manual_clock, user="plain") as collector:
        (gap,) = (await collector.collect()).gaps
        assert gap.reason is Reason.PRIVILEGE
        assert gap.count >= 3
        assert "toban setup postgresql" in gap.hint
        await cluster.execute("GRANT pg_monitor TO plain")
        manual_clock.advance(60)
        findings = await collector.collect()
        assert findings.gaps == ()
        assert use_of(findings, await queryid_of(cluster, "INSERT INTO t%")) is None


async def test_statements_sum_up_what_the_budget_leaves_out(cluster: Cluster, manual_clock: ManualClock) -> None:
    """One row stands for the rest: members and others are all rows, and the interval's calls are all there."""
    async with measured(cluster, manual_clock, top=2) as collector:
        statements = different(30)
        await cluster.execute(statements)
        findings = await collector.collect()
        assert len(series(findings, CALLS)) == 2 + 1
        assert value(findings, CALLS, OTHER, "", "") == 0
        total = await ask(cluster, "SELECT count(*) FROM pg_stat_statements")
        assert (value(findings, OTHERS) or 0) + 2 <= total
        await cluster.execute(statements)
        manual_clock.advance(60)
        findings = await collector.collect()
        assert sum(row.calls for row in rows_of(StatementUse, findings)) >= 30
        assert (value(findings, CALLS, OTHER, "", "") or 0) >= 24


async def test_reading_of_version_1_11_fits_its_columns(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Where contrib of 17 and later is not at hand, a function with its columns stands for it."""
    cluster = new_cluster(18)
    await cluster.execute(
        "CREATE FUNCTION public.pg_stat_statements(showtext boolean, OUT userid oid, OUT dbid oid,"
        " OUT toplevel bool, OUT queryid bigint, OUT calls int8, OUT total_exec_time float8, OUT rows int8,"
        " OUT shared_blks_hit int8, OUT shared_blks_read int8, OUT temp_blks_read int8, OUT temp_blks_written int8,"
        " OUT stats_since timestamptz) RETURNS SETOF record LANGUAGE sql"
        " AS $$ SELECT 10::oid, 5::oid, true, 77::int8, 3::int8, 2500::float8, 4::int8, 5::int8, 6::int8, 7::int8,"
        " 8::int8, to_timestamp(1000) $$"
    )
    async with watching(cluster, manual_clock) as server:
        server_rows = await fetched(server, "statements_since")
    assert tuple(server_rows[0].values()) == (10, 5, 77, True, 3, 2.5, 4, 5, 6, 15, 1000.0)


async def fetched(server: PostgresServer, name: str) -> list[Mapping[str, object]]:
    """The rows of a question, once connected."""
    await server.fetch(Query("identity"))
    return await server.fetch(Query(name), schema="public")
