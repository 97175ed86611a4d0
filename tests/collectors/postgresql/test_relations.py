"""Tables of every database on real servers: what they show, and that nobody ever waits for it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from collectors.postgresql.relations import (
    OTHER,
    OTHERS,
    SKIPPED,
    Relations,
    RelationsSettings,
)
from collectors.postgresql.server import Databases, DownError, home
from collectors.postgresql.tour import share
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings, Metric
from toban.secrets import Dsn

pytestmark = pytest.mark.integration

BY_NAME: dict[str, Metric] = {m.name.removeprefix("pg_stat_user_tables_"): m for m in Relations.metrics}
TABLE, INDEX = BY_NAME["table_size_bytes"], BY_NAME["index_size_bytes"]
ODD_NAMES = ('quo"te', "new\nline", "emoji 🐘", "表" * 21, "percent % @top@ $1")


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


@asynccontextmanager
async def measured(
    cluster: Cluster,
    clock: ManualClock,
    *names: str,
    user: str = "postgres",
    database: str = "postgres",
    top: int = 100,
    timeout: float = 60.0,  # noqa: ASYNC109 - the collector's setting
) -> AsyncIterator[Relations]:
    """The collector on some databases of a cluster."""
    settings = RelationsSettings(top=top, timeout=timeout, pause=0.0)
    scope = Databases(include=names) if names else None
    async with watching(cluster, clock, user=user, database=database, databases=scope) as server:
        yield Relations(server, settings, clock)


@asynccontextmanager
async def locking(cluster: Cluster, sql: str, databases: Iterable[str]) -> AsyncIterator[None]:
    """Somebody holds a lock in each of the databases."""
    async with AsyncExitStack() as stack:
        for database in databases:
            connection = await cluster.connect(database)
            stack.callback(connection.terminate)
            await connection.execute("BEGIN")
            await connection.execute(sql)
        yield


def reasons(findings: Findings) -> dict[str, Reason]:
    """What was left out, and why."""
    return {gap.what: gap.reason for gap in findings.gaps}


async def test_relations_have_the_numbers_of_the_server(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Statistics are those of pg_stat_user_tables, column by column, and sizes those of its size functions."""
    await postgres.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b text);"
        "INSERT INTO t SELECT g, repeat('x', 3000) FROM generate_series(1, 500) g;"
        "UPDATE t SET b = 'y' WHERE a < 100; DELETE FROM t WHERE a > 450; ANALYZE t;"
        "SELECT count(*) FROM t; SELECT b FROM t WHERE a = 7",
        unique_database,
    )
    await postgres.execute("VACUUM t", unique_database)
    columns = [name for name in BY_NAME if not name.endswith("_bytes") and not name.startswith("toban")]
    connection = await postgres.connect(unique_database)
    expected = dict(await connection.fetchrow("SELECT * FROM pg_stat_user_tables WHERE relname = 't'"))
    sizes = await connection.fetchrow("SELECT pg_table_size('t') AS t, pg_indexes_size('t') AS i")
    await connection.close()
    async with measured(postgres, manual_clock, unique_database) as collector:
        findings = await collector.collect()
    key = (unique_database, "public", "t")
    shown = {column: value(findings, BY_NAME[column], *key) for column in columns}
    assert shown == pytest.approx({column: _number(expected[column]) for column in columns})
    assert (value(findings, TABLE, *key), value(findings, INDEX, *key)) == (sizes["t"], sizes["i"])
    assert findings.gaps == ()


def _number(found: Any) -> float:  # noqa: ANN401 - a count or a moment
    return float(found.timestamp() if hasattr(found, "timestamp") else found or 0)


async def test_relations_with_odd_names_are_measured(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Databases, schemas and tables may be called anything."""
    cluster = new_cluster()
    for name in ODD_NAMES:
        await cluster.execute(f"CREATE DATABASE {quoted(name)}")
        await cluster.execute(
            f"CREATE SCHEMA {quoted(name)}; CREATE TABLE {quoted(name)}.{quoted(name)} (a int)", database=name
        )
    async with measured(cluster, manual_clock, database=ODD_NAMES[1]) as collector:
        findings = await collector.collect()
    assert series(findings, TABLE).keys() == {(name, name, name) for name in ODD_NAMES}
    assert findings.gaps == ()


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_relations_that_are_locked_are_left_out_and_nobody_waits(
    major: int, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """With ACCESS EXCLUSIVE held in every database, all else is measured, at once; the locked are counted."""
    cluster = new_cluster(major, settings={"log_lock_waits": "on", "deadlock_timeout": "10ms"})
    databases = [f"d{n}" for n in range(3)]
    for database in databases:
        await cluster.execute(f"CREATE DATABASE {database}")
        await cluster.execute("CREATE TABLE held (a int PRIMARY KEY); CREATE TABLE free (a int)", database=database)
    async with (
        locking(cluster, "LOCK TABLE held IN ACCESS EXCLUSIVE MODE", databases),
        measured(cluster, manual_clock) as collector,
        waits_of_toban(cluster) as waits,
    ):
        findings = await collector.collect()
    assert waits == set()
    assert "still waiting" not in cluster.log_text()
    assert "lock timeout" not in cluster.log_text()
    assert series(findings, SKIPPED) == {(database, "locked"): 1 for database in databases}
    assert reasons(findings) == {f"sizes of relations in {database}": Reason.LOCKED for database in databases}
    assert series(findings, TABLE).keys() == {(database, "public", "free") for database in databases}
    assert {key[2] for key in series(findings, BY_NAME["n_live_tup"])} == {"held", "free"}


@asynccontextmanager
async def waits_of_toban(cluster: Cluster) -> AsyncIterator[set[str]]:
    """Every lock that a session of Toban was seen waiting for, and every session that waited for one of Toban's."""
    seen: set[str] = set()
    connection = await cluster.connect()
    sql = (
        "SELECT l.mode || ' of ' || a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT l.granted AND (a.application_name = 'toban' OR EXISTS (SELECT FROM unnest(pg_blocking_pids(pid)) b"
        " JOIN pg_stat_activity t ON t.pid = b AND t.application_name = 'toban'))"
    )

    async def look() -> None:
        while True:
            seen.update(row[0] for row in await connection.fetch(sql))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        connection.terminate()


LOCKS = {
    "an index": "REINDEX INDEX held_b",
    "its TOAST table": (
        "DO $$ BEGIN EXECUTE 'REINDEX INDEX ' || (SELECT i.indexrelid::regclass FROM pg_class c"
        " JOIN pg_index i ON i.indrelid = c.reltoastrelid WHERE c.oid = 'held'::regclass); END $$"
    ),
    "a parent": "LOCK TABLE ONLY parent IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("sql", LOCKS.values(), ids=LOCKS)
async def test_relations_are_left_out_for_a_lock_on_their_parts(
    sql: str, postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A lock on an index, a TOAST table or a partitioned parent is one on the table."""
    await postgres15.execute(
        "CREATE TABLE parent (a int, b text) PARTITION BY RANGE (a);"
        "CREATE TABLE held PARTITION OF parent FOR VALUES FROM (0) TO (9); CREATE INDEX held_b ON held (b)"
        if "parent" in sql
        else "CREATE TABLE held (a int, b text); CREATE INDEX held_b ON held (b)",
        unique_database,
    )
    async with (
        locking(postgres15, sql, [unique_database]),
        measured(postgres15, manual_clock, unique_database) as collector,
    ):
        findings = await collector.collect()
    assert value(findings, TABLE, unique_database, "public", "held") is None
    assert value(findings, BY_NAME["n_live_tup"], unique_database, "public", "held") is not None
    assert (value(findings, SKIPPED, unique_database, "locked") or 0) >= 1


async def test_relations_are_left_out_for_a_lock_that_is_awaited(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Behind a waiting ALTER everybody queues: Toban does not."""
    await postgres15.execute("CREATE TABLE held (a int)", unique_database)
    waiter = await postgres15.connect(unique_database)
    async with (
        locking(postgres15, "LOCK TABLE held IN ACCESS SHARE MODE", [unique_database]),
        measured(postgres15, manual_clock, unique_database) as collector,
    ):
        waiting = asyncio.create_task(waiter.execute("BEGIN; LOCK TABLE held"))
        await eventually(lambda: ask(postgres15, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))
        findings = await collector.collect()
        waiter.terminate()
        await asyncio.gather(waiting, return_exceptions=True)
    assert value(findings, SKIPPED, unique_database, "locked") == 1


async def test_relations_of_a_locked_catalogue_are_a_gap_and_the_rest_goes_on(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Where even the catalogue is locked, lock_timeout ends the visit; the other databases are measured."""
    cluster = new_cluster()
    for database in ("d0", "d1", "d2"):
        await cluster.execute(f"CREATE DATABASE {database}")
        await cluster.execute("CREATE TABLE t (a int)", database=database)
    async with (
        locking(cluster, "LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE", ["d1"]),
        measured(cluster, manual_clock) as collector,
    ):
        findings = await collector.collect()
    assert {key[0] for key in series(findings, TABLE)} == {"d0", "d2"}
    assert reasons(findings) == {"relations of d1": Reason.LOCKED}
    assert value(findings, SKIPPED, "d1", "locked") == 1


async def test_relations_of_a_closed_database_are_a_gap(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A database that the role may not enter is named with the reason; templates and closed ones are not asked for."""
    cluster = new_cluster()
    await cluster.execute("CREATE ROLE plain LOGIN")
    for database in ("private", "closed"):
        await cluster.execute(f"CREATE DATABASE {database}")
    await cluster.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
    await cluster.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false")
    await cluster.execute("CREATE TABLE t (a int)")
    async with measured(cluster, manual_clock, user="plain") as collector:
        findings = await collector.collect()
    assert reasons(findings) == {"relations of private": Reason.PRIVILEGE}
    assert value(findings, TABLE, "postgres", "public", "t") is not None


async def test_relations_of_a_database_dropped_meanwhile_are_a_gap(
    postgres15: Cluster, manual_clock: ManualClock
) -> None:
    """Listed, and gone before the visit."""
    async with measured(postgres15, manual_clock) as collector:
        (gap,) = await collector._visit("dropped", manual_clock.monotonic() + 60)
    assert (gap.reason, gap.hint) == (Reason.NOT_FOUND, "")


async def test_relations_of_a_turn_that_is_too_short_are_put_off(
    postgres15: Cluster, manual_clock: ManualClock
) -> None:
    """Less time than a visit needs is told as such, and not as a server that does not answer."""
    async with measured(postgres15, manual_clock, timeout=0.9) as collector:
        findings = await collector.collect()
    assert reasons(findings) == {"databases": Reason.TIMEOUT}


async def test_relations_of_a_server_that_is_gone_fail_as_a_whole(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """That is no gap in one database: the turn says that the server is down."""
    cluster = new_cluster()
    async with measured(cluster, manual_clock) as collector:
        await collector.collect()
        cluster.stop()
        await eventually(lambda: _refused(collector, manual_clock))


async def _refused(collector: Relations, clock: ManualClock) -> bool:
    """The first visit may still find the server-wide connection open, and be a gap."""
    try:
        await collector._visit("postgres", clock.monotonic() + 60)
    except DownError:
        return True
    return False


async def test_relations_beyond_the_budget_are_one_row(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """The largest have series; the others are summed up, counted, and cost no measuring."""
    await postgres15.execute(
        ";".join(
            f"CREATE TABLE t{n} AS SELECT g AS a FROM generate_series(1, {1000 * n}) g; CREATE INDEX ON t{n} (a);"
            f"ANALYZE t{n}"
            for n in range(1, 6)
        ),
        unique_database,
    )
    async with measured(postgres15, manual_clock, unique_database, top=2) as collector:
        findings = await collector.collect()
    assert {key[2] for key in series(findings, TABLE)} == {"t5", "t4", OTHER}
    assert value(findings, OTHERS, unique_database) == 3
    pages = "SELECT sum(relpages) * 8192 FROM pg_class WHERE relname ~ '^t[123]"
    expected = [await ask(postgres15, f"{pages}{end}'", unique_database) for end in ("$", "_a_idx$")]
    other = (unique_database, "", OTHER)
    assert [value(findings, TABLE, *other), value(findings, INDEX, *other)] == expected
    assert value(findings, BY_NAME["seq_scan"], *other) is None


async def test_relations_leave_temporary_tables_out(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """They would make a new series for every session."""
    session = await postgres15.connect(unique_database)
    await session.execute("CREATE TEMP TABLE passing (a int)")
    async with measured(postgres15, manual_clock, unique_database) as collector:
        found = await collector.collect()
    await session.close()
    assert series(found, TABLE) == {}
    assert not any("passing" in sample.labels for sample in found.samples)


class HurryingClock(ManualClock):
    """A clock on which two seconds pass between two looks: a slow server."""

    def monotonic(self) -> float:
        """Later than the last time."""
        self.advance(2)
        return super().monotonic()


async def test_relations_that_a_turn_does_not_reach_come_next(new_cluster: NewCluster) -> None:
    """A slow server is covered over several turns: the unreached come first, the reached keep their values."""
    cluster = new_cluster()
    databases = {f"d{n}" for n in range(6)}
    for database in sorted(databases):
        await cluster.execute(f"CREATE DATABASE {database}")
        await cluster.execute("CREATE TABLE t (a int)", database=database)
    clock = HurryingClock()
    async with measured(cluster, clock, "d*", timeout=60.0) as collector:
        first = await collector.collect()
        reached = {key[0] for key in series(first, TABLE)}
        assert reasons(first) == {"databases": Reason.TIMEOUT}
        assert first.gaps[0].count == len(databases - reached)
        assert 0 < len(reached) < len(databases)
        began = clock.now()
        second = await collector.collect()
        renewed, unreached = {key[0] for key in _fresh(second, began)}, databases - reached
        assert renewed
        assert renewed >= unreached or renewed <= unreached
        assert {key[0] for key in series(second, TABLE)} == reached | renewed


def _fresh(findings: Findings, since: float) -> set[tuple[str, ...]]:
    return {s.labels for s in findings.samples if s.metric is TABLE and s.taken_at >= since}


async def test_relations_of_databases_that_went_are_forgotten(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """A dropped database leaves no series behind, a new one is found."""
    cluster = new_cluster()
    await cluster.execute("CREATE DATABASE old")
    await cluster.execute("CREATE TABLE t (a int)", database="old")
    async with measured(cluster, manual_clock) as collector:
        assert series(await collector.collect(), TABLE).keys() == {("old", "public", "t")}
        await cluster.execute("DROP DATABASE old")
        await cluster.execute("CREATE DATABASE new")
        await cluster.execute("CREATE TABLE t (a int)", database="new")
        assert series(await collector.collect(), TABLE).keys() == {("new", "public", "t")}


@pytest.mark.parametrize(
    ("dsn", "database"),
    [
        ("postgresql://toban@127.0.0.1:5432/app", "app"),
        ("postgresql://toban@127.0.0.1/a%20b%2Fc", "a b/c"),
        ("postgresql://toban@/?host=/run/postgresql&dbname=app", "app"),
        ("postgresql://toban@127.0.0.1", "postgres"),
    ],
)
def test_home_is_the_database_of_the_dsn(dsn: str, database: str) -> None:
    """The list of databases is asked for where the DSN leads."""
    assert home(Dsn(dsn)) == database


@pytest.mark.parametrize(
    ("top", "databases", "each"), [(100, 1, 100), (100, 22, 5), (100, 10, 10), (2, 9, 2), (50, 0, 50)]
)
def test_the_tables_shown_are_shared_out_among_the_databases(top: int, databases: int, each: int) -> None:
    """A server of many databases has as many series as one of few, but every database shows a few tables."""
    assert share(top, databases) == each
